// SPDX-License-Identifier: Apache-2.0
#include "tools/arguments.hpp"

#include "base/text.hpp"
#include "sluice_config.h"
#include "tools/control_api.hpp"
#include "tools/socket_path.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <map>
#include <utility>

namespace sluice::tools {

namespace {

/// CLI11's form of a check: what is wrong, or nothing.
std::string check_socket(const std::string& path)
{
    const auto fault = socket_path_fault(path);
    return fault.empty() ? fault : "the name of the socket " + fault;
}

/// Options that make up inputs, in the order in which they were given: the lowest layer comes first.
struct InputOptions {
    CLI::Option* directory = nullptr;
    CLI::Option* tar = nullptr;
    CLI::Option* erofs = nullptr;
    CLI::Option* device = nullptr;
};

class CommandLine {
public:
    CommandLine()
    {
        app_.require_subcommand(1);
        app_.set_version_flag("--version", "sluicectl (sluice) " SLUICE_VERSION);
        app_.add_option("--socket", out_.socket, "The daemon's control socket")
            ->default_val(std::string{kDefaultSocket})
            ->check(check_socket);
        app_.add_flag("--json", out_.json, "Print JSON for programs");
        app_.footer("'sluicectl COMMAND --help' and sluicectl(1) tell more.");
        add_mounting();
        add_listing();
        add_publish();
        add_export();
    }

    std::variant<Arguments, Said, Error> parse(int argc, const char* const* argv)
    {
        try {
            app_.parse(argc, argv);
            for (const auto& [command, which] : subcommands_) {
                if (command->parsed()) {
                    out_.subcommand = which;
                }
            }
            out_.top.interval = milliseconds{static_cast<std::int64_t>(top_interval_ * 1000)};
            out_.top.json = out_.json;
            if (out_.subcommand == Subcommand::kPublish) {
                finish_publish();
            }
        } catch (const CLI::CallForVersion& version) {
            return Said{std::string{version.what()} + "\n"};
        } catch (const CLI::CallForHelp&) {
            return Said{app_.help()};
        } catch (const CLI::ParseError& error) {
            return Error{ErrorKind::kInvalid, describe(error) + " (--help tells more)"};
        }
        return std::move(out_);
    }

private:
    /// CLI11 misses a command before it sees that one was given which it does not know.
    [[nodiscard]] std::string describe(const CLI::ParseError& error) const
    {
        const auto words = app_.remaining();
        if (app_.get_subcommands().empty() && !words.empty()) {
            const bool option = words.front().starts_with('-');
            return fmt::format("there is no {} '{}'", option ? "option" : "command", printable(words.front()));
        }
        return error.what();
    }

    CLI::App* add(Subcommand which, const std::string& name, const std::string& description)
    {
        CLI::App* command = app_.add_subcommand(name, description);
        command->fallthrough(); // --json and --socket may stand behind the subcommand too
        subcommands_[command] = which;
        return command;
    }

    void add_mounting()
    {
        auto* mount = add(Subcommand::kMount, "mount", "Mount an image");
        mount->add_option("REF", out_.reference, "registry/name[:tag][@digest] or oci:/path[:tag]")->required();
        mount->add_option("DIR", out_.dir, "Where to mount it")->required();
        mount->add_option("-o,--options", out_.mount_options, "Mount options, as for mount.sluice(8)");
        mount->add_flag("--lazy-only", out_.lazy_only, "Refuse an image that would have to be downloaded first");
        mount->add_flag("--refresh", out_.refresh, "Ask the registry what the tag means now");
        mount->add_flag("-q,--quiet", out_.quiet, "Do not tell what is waited for");
        (void)add_layers_dir(mount);

        auto* umount = add(Subcommand::kUmount, "umount", "Unmount an image");
        umount->add_option("DIR", out_.dir, "Where it is mounted")->required();
        (void)add_layers_dir(umount);

        auto* release = add(Subcommand::kReleaseLayers, "release-layers", "Unmount the layers that nothing uses");
        release->group(""); // sluiced's business: not in the help
        auto* elsewhere =
            release->add_option("--mount-namespace", out_.mount_namespace, "Look from inside this mount namespace");
        elsewhere->needs(add_layers_dir(release)); // nobody is to be asked over a socket of the other side
        release->add_flag("--serve", out_.serve, "Read the layers' directory from standard input, one line");
    }

    CLI::Option* add_layers_dir(CLI::App* command)
    {
        return command->add_option(
            "--layers-dir", out_.layers_dir, "Where the layers' own mounts are (default: ask the daemon)"
        );
    }

    void add_listing()
    {
        add(Subcommand::kImages, "images", "List the images that the daemon knows");
        add(Subcommand::kBlobs, "blobs", "List the blobs, and how much of each is in the cache");
        add(Subcommand::kStatus, "status", "Show how the daemon does");
        auto* top = add(Subcommand::kTop, "top", "Show what the daemon does at this moment, again and again");
        top->add_option("--interval", top_interval_, "Seconds from one page to the next")
            ->default_val(1.0)
            ->check(CLI::Range(0.1, 3600.0))
            ->type_name("SECONDS");
        top->add_option("--count", out_.top.count, "Pages; 0: until q or Ctrl-C on a terminal, else one")
            ->type_name("N");
        auto* prefetch = add(Subcommand::kPrefetch, "prefetch", "Download all of an image's data now");
        prefetch->add_option("REF", out_.reference, "registry/name:tag or oci:/path:tag")->required();
        auto* forget = add(Subcommand::kForget, "forget", "Make the daemon forget an image");
        forget->add_option("REF", out_.reference, "The image, as 'images' shows it")->required();
    }

    void add_publish()
    {
        auto* publish = add(Subcommand::kPublish, "publish", "Make, sign and push an image");
        auto& options = out_.publish.options;
        publish->add_option("REF", options.reference, "registry/name:tag or oci:/path:tag")->required();
        publish->add_option("--key", key_, "Private key that signs (PEM)")->required();
        publish->add_option(
            "--key-passphrase-file", out_.publish.passphrase_file, "Its passphrase (default: ask the terminal)"
        );
        const auto input = [&](const std::string& name, const std::string& description) {
            return publish->add_option(name, description)->expected(1)->take_all()->type_name("PATH");
        };
        inputs_.directory = input("--from-dir", "A layer from a directory; layers are given lowest first");
        inputs_.tar = input("--from-tar", "A layer from a tar file");
        inputs_.erofs = input("--from-erofs", "A layer from an EROFS image");
        inputs_.device = input("--device", "An extra device of the --from-erofs before it");
        auto* compress =
            publish->add_option("--compress", options.compression, "mkfs.erofs -z, such as lz4hc,9 (default: none)");
        auto* chunks = publish->add_option("--chunksize", chunk_size_, "Chunked files, bytes or 64K, 1M");
        publish->add_flag("--separate-data", options.separate_data, "File data in a device blob of its own")
            ->needs(chunks);
        chunks->excludes(compress);
        publish->add_option("--mkfs-opt", options.mkfs_options, "A further option for mkfs.erofs")
            ->expected(1)
            ->take_all();
        publish->add_option("--media-type", media_type_, "erofs (default) or containerd-2.3");
        publish->add_option("--arch", options.architecture, "Such as amd64 (default: this machine's)");
        publish->add_flag("--index", options.index, "Publish an image index with one manifest");
        publish->add_option("--signed-name", options.signed_name, "The name that is signed (default: the repository)");
        publish->add_option("--ca", out_.publish.ca_file, "CA certificates for the registry (PEM)");
        publish->add_flag("--insecure", out_.publish.insecure, "Speak plain http with the registry");
        publish->add_flag(
            "--private-networks", out_.publish.private_networks, "Follow the registry into private networks"
        );
        publish->add_option("--credentials", out_.publish.credentials_file, "docker's config.json");
    }

    void add_export()
    {
        auto* command = add(Subcommand::kExport, "export", "Write a complete, proved image file");
        command->add_option("REF", out_.reference, "registry/name[:tag][@digest] or oci:/path[:tag]")->required();
        command->add_option("FILE", out_.dir, "The file to write, or a directory for all blobs")->required();
        command->add_option("--layer", out_.layer, "This layer only; 0 is the lowest");
        command
            ->add_option(
                "--library-socket", out_.library_socket, "The daemon's library socket (default: ask the daemon)"
            )
            ->check(check_socket);
    }

    /// What CLI11 has no types for.
    void finish_publish()
    {
        auto& options = out_.publish.options;
        options.key = key_;
        if (!chunk_size_.empty()) {
            const auto size = parse_size(chunk_size_);
            if (!size || *size == 0) {
                throw CLI::ValidationError{"--chunksize", "'" + printable(chunk_size_) + "' is not a size"};
            }
            options.chunk_size = *size;
        }
        if (!media_type_.empty()) {
            const auto type = parse_layer_media_type(media_type_);
            if (!type) {
                throw CLI::ValidationError{"--media-type", type.error().text()};
            }
            options.media_type = *type;
        }
        if (const auto checked = check_architecture(options.architecture); !options.architecture.empty() && !checked) {
            throw CLI::ValidationError{"--arch", checked.error().text()};
        }
        collect_inputs();
    }

    void collect_inputs()
    {
        const std::map<const CLI::Option*, InputKind> kinds{
            {inputs_.directory, InputKind::kDirectory},
            {inputs_.tar, InputKind::kTar},
            {inputs_.erofs, InputKind::kErofs},
        };
        auto& inputs = out_.publish.options.inputs;
        std::map<const CLI::Option*, std::size_t> seen;
        for (const CLI::Option* option : app_.get_subcommand("publish")->parse_order()) {
            const auto kind = kinds.find(option);
            if (kind == kinds.end() && option != inputs_.device) {
                continue;
            }
            const std::string& value = option->results().at(seen[option]++);
            if (kind != kinds.end()) {
                inputs.push_back(PublishInput{kind->second, value, {}});
            } else if (inputs.empty() || inputs.back().kind != InputKind::kErofs) {
                throw CLI::ValidationError{"--device", "stands behind the --from-erofs that it belongs to"};
            } else {
                inputs.back().devices.emplace_back(value);
            }
        }
        if (inputs.empty()) {
            throw CLI::ValidationError{"publish", "needs --from-dir, --from-tar or --from-erofs"};
        }
    }

    double top_interval_ = 1;
    CLI::App app_{"Mounts, publishes and lists sluice's images.", "sluicectl"};
    std::map<const CLI::App*, Subcommand> subcommands_;
    InputOptions inputs_;
    std::string key_;
    std::string chunk_size_;
    std::string media_type_;
    Arguments out_;
};

} // namespace

std::variant<Arguments, Said, Error> parse_arguments(int argc, const char* const* argv)
{
    return CommandLine{}.parse(argc, argv);
}

} // namespace sluice::tools
