// SPDX-License-Identifier: Apache-2.0
// Layers that are in use, or seem to be, in mount namespaces other than ours.
#include "tests/support/temp_dir.hpp"
#include "tests/unit/tools/erofs_fixture.hpp"
#include "tools/mount_namespaces.hpp"
#include "tools/mount_place.hpp"

#include <array>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <linux/capability.h>
#include <sched.h>
#include <stdexcept>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace sluice::test {

namespace {

using tools::mount_image;
using tools::unmount_image;
using Names = std::vector<std::string>;

/// A process that runs `prepare` and then stays until the test has done with it.
class Companion {
public:
    template <typename F>
    explicit Companion(F prepare)
    {
        int ready[2] = {-1, -1};
        int stay[2] = {-1, -1};
        if (::pipe2(ready, O_CLOEXEC) != 0 || ::pipe2(stay, O_CLOEXEC) != 0) {
            throw std::runtime_error{"no pipe"};
        }
        pid_ = ::fork();
        if (pid_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            ::close(stay[1]);
            const char outcome = prepare() ? 'y' : 'n';
            (void)!::write(ready[1], &outcome, 1);
            char c = 0;
            (void)!::read(stay[0], &c, 1);
            ::_exit(0);
        }
        ::close(ready[1]);
        ::close(stay[0]);
        stay_ = UniqueFd{kAdoptFd, stay[1]};
        char outcome = 0;
        ready_ = ::read(ready[0], &outcome, 1) == 1 && outcome == 'y';
        ::close(ready[0]);
    }

    Companion(const Companion&) = delete;
    Companion& operator=(const Companion&) = delete;

    ~Companion() { end(); }

    [[nodiscard]] bool ready() const noexcept { return ready_; }

    [[nodiscard]] std::string mount_namespace() const { return "/proc/" + std::to_string(pid_) + "/ns/mnt"; }

    /// A path as the process has it.
    [[nodiscard]] std::string path(const std::string& name) const
    {
        return "/proc/" + std::to_string(pid_) + "/root" + name;
    }

    void end()
    {
        stay_.reset();
        if (pid_ > 0) {
            ::waitpid(pid_, nullptr, 0);
            pid_ = -1;
        }
    }

private:
    pid_t pid_ = -1;
    bool ready_ = false;
    UniqueFd stay_;
};

/// From this thread's effective ones.
void drop_capability(unsigned capability)
{
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, 2> sets{};
    ASSERT_EQ(::syscall(SYS_capget, &header, sets.data()), 0);
    sets.at(capability / 32).effective &= ~(1U << (capability % 32));
    ASSERT_EQ(::syscall(SYS_capset, &header, sets.data()), 0);
}

/// Makes `path` a mount point of its own, with the given propagation.
bool make_mount_point(const std::string& path, unsigned long propagation)
{
    std::filesystem::create_directories(path);
    return ::mount(path.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) == 0 &&
           ::mount(nullptr, path.c_str(), nullptr, propagation, nullptr) == 0;
}

} // namespace

TEST_F(MountingTest, AnotherNamespacesMountKeepsTheLayer)
{
    const auto layers = open_layers();
    const auto dir = make_target("m");
    ASSERT_TRUE(mount_image(layers, image({make_layer("a", "f", "1")}), dir, MOUNT_ATTR_RDONLY, mounter_));
    Companion container{[] {
        return ::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    }};
    ASSERT_TRUE(container.ready());
    ASSERT_EQ(::umount(dir.c_str()), 0);

    auto released = layers.release_unused();
    ASSERT_TRUE(released);
    EXPECT_EQ(released->in_use, Names{"a"});
    EXPECT_EQ(mounted_layers(), Names{"a"});
    container.end();
    released = layers.release_unused();
    ASSERT_TRUE(released);
    EXPECT_EQ(released->released, Names{"a"});
}

TEST_F(MountingTest, WhoCannotSeeAllProcessesUnmountsTheImageAndLeavesItsLayers)
{
    const auto layers = open_layers();
    const auto dir = make_target("m");
    ASSERT_TRUE(mount_image(layers, image({make_layer("a", "f", "1")}), dir, MOUNT_ATTR_RDONLY, mounter_));
    Result<tools::ReleaseReport> report = fail(ErrorKind::kInternal, "it was not tried");
    EXPECT_TRUE(tools::sees_all_processes());
    std::thread{[&] { // capabilities are a thread's
        drop_capability(CAP_SYS_PTRACE);
        EXPECT_FALSE(tools::sees_all_processes());
        report = unmount_image(layers, dir);
    }}
        .join();
    ASSERT_TRUE(report) << report.error().text();
    EXPECT_EQ(report->released, Names{});
    EXPECT_NE(report->note.find(dir + " is unmounted; its layers stay"), std::string::npos) << report->note;
    EXPECT_NE(report->note.find("CAP_SYS_PTRACE"), std::string::npos) << report->note;
    EXPECT_EQ(mounted_layers(), Names{"a"});
    const auto released = layers.release_unused();
    ASSERT_TRUE(released);
    EXPECT_EQ(released->released, Names{"a"});
}

TEST(SeesAllProcesses, NotWhenNobodySays)
{
    EXPECT_FALSE(tools::sees_all_processes("/nowhere/status"));
}

TEST_F(MountingTest, AnotherNamespacesOverlayKeepsItsLayers)
{
    const auto layers = open_layers();
    const auto dir = make_target("m");
    const auto both = image({make_layer("a", "f", "1"), make_layer("b", "g", "2")});
    for (const auto style : {tools::OverlayStyle::kAuto, tools::OverlayStyle::kOneString}) {
        ASSERT_TRUE(mount_image(layers, both, dir, MOUNT_ATTR_RDONLY, mounter_, style));
        const auto private_copy = [&] {
            return ::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                   ::umount((layers_dir() + "/a").c_str()) == 0 && ::umount((layers_dir() + "/b").c_str()) == 0;
        };
        Companion container{private_copy};
        ASSERT_TRUE(container.ready());
        ASSERT_EQ(::umount(dir.c_str()), 0);
        auto released = layers.release_unused();
        ASSERT_TRUE(released);
        EXPECT_EQ(released->in_use, (Names{"a", "b"}));
        container.end();
        released = layers.release_unused();
        ASSERT_TRUE(released);
        EXPECT_EQ(released->released.size(), 2U);
    }
}

TEST_F(MountingTest, ACopyOfTheImagesMountKeepsTheLayerInASlaveNamespaceToo)
{
    const auto layers = open_layers();
    ASSERT_TRUE(make_mount_point(layers_dir(), MS_SHARED));
    const auto dir = make_target("m");
    ASSERT_TRUE(mount_image(layers, image({make_layer("a", "f", "1")}), dir, MOUNT_ATTR_RDONLY, mounter_));
    // As systemd starts services with PrivateTmp= and their like: all mounts copied, following the
    // host's.
    Companion service{[] {
        return ::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) == 0 &&
               ::mount(nullptr, "/", nullptr, MS_REC | MS_SHARED, nullptr) == 0;
    }};
    ASSERT_TRUE(service.ready());

    ASSERT_EQ(::umount(dir.c_str()), 0);
    auto released = layers.release_unused();
    ASSERT_TRUE(released);
    EXPECT_EQ(released->in_use, Names{"a"}) << "its copy of the directory's mount does not follow";
    service.end();
    released = layers.release_unused();
    ASSERT_TRUE(released);
    EXPECT_EQ(released->released, Names{"a"});
}

TEST_F(MountingTest, ASlaveNamespaceWithOnlyTheLayersCopyLetsItGo)
{
    const auto layers = open_layers();
    ASSERT_TRUE(make_mount_point(layers_dir(), MS_SHARED));
    {
        const auto hold = layers.hold();
        ASSERT_TRUE(hold && layers.ensure(*hold, make_layer("a", "f", "1"), mounter_));
    }
    const auto become_service = [] {
        return ::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) == 0 &&
               ::mount(nullptr, "/", nullptr, MS_REC | MS_SHARED, nullptr) == 0;
    };
    Companion service{become_service};
    ASSERT_TRUE(service.ready());
    const auto released = layers.release_unused();
    ASSERT_TRUE(released);
    EXPECT_EQ(released->released, Names{"a"});
    EXPECT_EQ(layer_directories(), Names{}) << "a copy that stayed would keep the directory busy";
}

TEST_F(MountingTest, AnotherNamespaceIsMountedInAndBelievedNothing)
{
    const auto layers = open_layers();
    const auto dir = make_target("m");
    const auto proc = (temp_->path() / "proc").string();
    (void)temp_->write("proc/thread-self/mountinfo", "not a mount table");
    std::filesystem::create_directories(layers_dir());
    // Whoever owns the namespace has put things of his own where ours are: the layers, and /proc.
    Companion attacker{[&] {
        return ::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
               ::mount("forged", layers_dir().c_str(), "tmpfs", 0, nullptr) == 0 &&
               ::mkdir((layers_dir() + "/a").c_str(), 0755) == 0 && ::mkdir((layers_dir() + "/b").c_str(), 0755) == 0 &&
               ::mount(proc.c_str(), "/proc", nullptr, MS_BIND, nullptr) == 0;
    }};
    ASSERT_TRUE(attacker.ready());
    const auto place = tools::MountPlace::open(dir, attacker.mount_namespace());
    ASSERT_TRUE(place) << place.error().text();
    const auto a = make_layer("a", "f", "1");
    const auto b = make_layer("b", "g", "2");
    for (const auto& [spec, style] :
         {std::pair{image({a}), tools::OverlayStyle::kAuto},
          {image({a, b}), tools::OverlayStyle::kAuto},
          {image({a, b}), tools::OverlayStyle::kOneString}}) {
        const auto mounted = mount_image(layers, spec, *place, MOUNT_ATTR_RDONLY, mounter_, style);
        ASSERT_TRUE(mounted) << mounted.error().text();
        EXPECT_EQ(read_file(attacker.path(dir) + "/f"), "1");
        EXPECT_TRUE(std::filesystem::is_empty(dir)) << "here nothing is mounted";
        EXPECT_TRUE(std::filesystem::is_empty(attacker.path(layers_dir()) + "/a"));
        EXPECT_EQ(mounted_layers().size(), spec.layers.size()) << "the layers' own mounts are on our side";
        const auto presence = tools::find_image(layers.dir(), spec, *place, mounter_);
        ASSERT_TRUE(presence) << presence.error().text();
        EXPECT_EQ(*presence, tools::Presence::kThere);
        EXPECT_EQ(*tools::find_image(layers.dir(), spec, dir, mounter_), tools::Presence::kAbsent);

        const auto unmounted = tools::unmount_image(layers, *place);
        ASSERT_TRUE(unmounted) << unmounted.error().text();
        EXPECT_TRUE(std::filesystem::is_empty(attacker.path(dir)));
        EXPECT_EQ(mounted_layers(), Names{});
    }
    EXPECT_FALSE(tools::MountPlace::open("relative", attacker.mount_namespace()));
    EXPECT_FALSE(tools::MountPlace::open(dir, temp_->path().string())) << "no namespace";
}

TEST(MountNamespaces, AFailureToLookIntoAProcessIsAnErrorUnlessItHasEnded)
{
    // A folder in the place of /proc; a link to itself cannot be followed.
    const TempDir proc;
    (void)proc.write("self/mountinfo", "");
    (void)proc.write("self/ns/mnt", "");
    (void)proc.write("self/root", "");
    std::filesystem::create_directories(proc.path() / "70");
    const auto without = tools::read_all_mount_tables(proc.path().string());
    ASSERT_TRUE(without) << without.error().text();
    EXPECT_EQ(without->size(), 1U);

    std::filesystem::create_directories(proc.path() / "71/ns");
    std::filesystem::create_symlink("mnt", proc.path() / "71/ns/mnt");
    const auto hidden = tools::read_all_mount_tables(proc.path().string());
    ASSERT_FALSE(hidden);
    EXPECT_NE(hidden.error().text().find("/71"), std::string::npos) << hidden.error().text();
}

} // namespace sluice::test
