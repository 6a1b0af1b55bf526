// SPDX-License-Identifier: Apache-2.0
#include "daemon/options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace sluice::daemon {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

Result<Options> parse(std::vector<std::string> words)
{
    words.insert(words.begin(), "sluiced");
    std::vector<char*> argv;
    for (auto& word : words) {
        argv.push_back(word.data());
    }
    argv.push_back(nullptr);
    return parse_options(static_cast<int>(words.size()), argv.data());
}

TEST(Options, NoneMeansTheDefaults)
{
    const auto options = parse({});
    ASSERT_TRUE(options);
    EXPECT_EQ(*options, Options{});
    EXPECT_EQ(options->config_file, "/etc/sluice/sluiced.conf");
}

TEST(Options, CachefilesdsSwitchesMeanWhatTheyMeanThere)
{
    const auto options = parse({"-d", "-sn", "-dN", "-p", "/p", "-f/c"});
    ASSERT_TRUE(options) << options.error().text();
    EXPECT_EQ(options->debug, 2U);
    EXPECT_TRUE(options->log_to_stderr);
    EXPECT_TRUE(options->foreground);
    EXPECT_TRUE(options->nocull);
    EXPECT_EQ(options->pid_file, "/p");
    EXPECT_EQ(options->config_file, "/c");
}

TEST(Options, LongNamesEqualTheirLetters)
{
    EXPECT_EQ(
        *parse({"--debug", "--stderr", "--foreground", "--nocull", "--pidfile=/p", "--config", "/c"}),
        *parse({"-dsnN", "-p/p", "-f", "/c"})
    );
}

TEST(Options, TheDaemonUnderAKeeperGetsAllButThePidFile)
{
    const auto options = parse({"--keeper", "-ddsN", "-p", "/p", "-f", "/c"});
    ASSERT_TRUE(options);
    const auto command = kept_command("/usr/sbin/sluiced", *options);
    EXPECT_THAT(
        command,
        testing::ElementsAre(
            "/usr/sbin/sluiced", "--foreground", "--config", "/c", "--debug", "--debug", "--stderr", "--nocull"
        )
    );
    const auto child = parse({command.begin() + 1, command.end()});
    ASSERT_TRUE(child);
    EXPECT_EQ(child->action, Action::kServe);
}

TEST(Options, ActionsAreChosen)
{
    EXPECT_EQ(parse({"--check-config", "-f", "/c"})->action, Action::kCheckConfig);
    EXPECT_EQ(parse({"--check-system"})->action, Action::kCheckSystem);
    EXPECT_EQ(parse({"--keeper"})->action, Action::kKeep);
    EXPECT_EQ(parse({"--help"})->action, Action::kHelp);
    EXPECT_EQ(parse({"-v"})->action, Action::kVersion);
    EXPECT_EQ(parse({"--version"})->action, Action::kVersion);
}

TEST(Options, MistakesAreToldInOneLine)
{
    const auto text = [](std::vector<std::string> words) { return parse(std::move(words)).error().text(); };
    EXPECT_THAT(text({"-x"}), StartsWith("unknown, ambiguous or misused option -x"));
    EXPECT_THAT(text({"--frobnicate"}), HasSubstr("--frobnicate"));
    EXPECT_THAT(text({"--check"}), HasSubstr("--check;")) << "ambiguous";
    EXPECT_THAT(text({"--help=yes"}), HasSubstr("option"));
    EXPECT_THAT(text({"-f"}), StartsWith("option -f lacks its argument"));
    EXPECT_THAT(text({"-f", ""}), HasSubstr("-f: the name of the file is empty"));
    EXPECT_THAT(text({"serve"}), StartsWith("unexpected argument 'serve'"));
    EXPECT_THAT(text({"--check-config", "--check-system"}), StartsWith("only one of"));
    EXPECT_THAT(text({"-x\n"}), Not(HasSubstr("\n")));
}

TEST(Options, CanBeParsedAgain)
{
    EXPECT_FALSE(parse({"-n", "-x"}));
    EXPECT_EQ(*parse({"-n"}), *parse({"--foreground"}));
}

TEST(RunMode, DetachesAsCachefilesdDoes)
{
    EXPECT_EQ(
        run_mode(Options{}, false), (RunMode{.detach = true, .log_to_syslog = true, .pid_file = kDefaultPidFile})
    );
    EXPECT_EQ(
        run_mode(*parse({"-s", "-p", "/p"}), false), (RunMode{.detach = true, .log_to_syslog = false, .pid_file = "/p"})
    );
}

TEST(RunMode, StaysInTheForegroundWhenToldToOrUnderAServiceManager)
{
    const RunMode foreground{.detach = false, .log_to_syslog = false, .pid_file = std::nullopt};
    EXPECT_EQ(run_mode(*parse({"-n"}), false), foreground);
    EXPECT_EQ(run_mode(Options{}, true), foreground);
    EXPECT_EQ(run_mode(*parse({"-n", "-p/p"}), true).pid_file, "/p");
}

TEST(ApplyOptions, TheCommandLineHasTheLastWord)
{
    const auto config = apply_options(Config{}, *parse({"-d", "-N"}));
    EXPECT_EQ(config.log_level, log::Level::kDebug);
    EXPECT_TRUE(config.nocull);
    EXPECT_EQ(apply_options(Config{}, Options{}), Config{});
}

TEST(HelpText, NamesEachSwitchAndIsFilledIn)
{
    const auto help = help_text();
    for (const auto* word :
         {"-d,",
          "-s,",
          "-n,",
          "-N,",
          "-p,",
          "-f,",
          "-v,",
          "--check-config",
          "--check-system",
          "--help",
          kDefaultConfigFile,
          kDefaultPidFile}) {
        EXPECT_THAT(help, HasSubstr(word));
    }
    EXPECT_THAT(help, Not(HasSubstr("{")));
    EXPECT_THAT(version_text(), StartsWith("sluiced "));
}

} // namespace
} // namespace sluice::daemon
