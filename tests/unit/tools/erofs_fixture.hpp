// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tests/support/temp_dir.hpp"
#include "tools/image_mount.hpp"
#include "tools/layer_mounter.hpp"
#include "tools/layer_mounts.hpp"

#include <atomic>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::test {

/// Mounts layers from image files, as the kernel does without any daemon.
class FileLayerMounter final : public tools::LayerMounter {
public:
    void add(const std::string& name, std::string file) { files_[name] = std::move(file); }

    [[nodiscard]] Result<UniqueFd> mount(const tools::LayerSpec& layer) override;

    /// Not when the layer's file is another one by now: as if the daemon had been started again.
    [[nodiscard]] bool is_current(const tools::LayerSpec& layer, const tools::MountEntry& mount) const override;

    [[nodiscard]] int mounts() const noexcept { return mounts_; }

private:
    std::map<std::string, std::string> files_;
    std::atomic<int> mounts_{0};
};

/// A layers directory, image files made by mkfs.erofs, and directories to mount at. Everything
/// happens in a mount namespace of the test program's own (see main() in test_mounting.cpp), so
/// nothing can stay mounted after it.
class MountingTest : public ::testing::Test {
protected:
    void SetUp() override;
    void TearDown() override;

    /// An image file whose only file is `file`, with `content`.
    tools::LayerSpec make_layer(const std::string& name, const std::string& file, std::string_view content);

    /// The same layers from files in another directory, named like the layers.
    std::vector<tools::LayerSpec> restart(std::vector<tools::LayerSpec> layers, const std::string& name);

    [[nodiscard]] static tools::ImageSpec image(std::vector<tools::LayerSpec> layers);
    [[nodiscard]] std::string make_target(const std::string& name) const;

    [[nodiscard]] std::string layers_dir() const { return (temp_->path() / "layers").string(); }

    /// Mount points below the layers directory, now.
    [[nodiscard]] std::vector<std::string> mounted_layers() const;
    [[nodiscard]] std::vector<std::string> layer_directories() const;

    tools::LayerMounts open_layers() const;

    std::unique_ptr<TempDir> temp_;
    FileLayerMounter mounter_;
};

[[nodiscard]] std::string read_file(const std::string& path);

} // namespace sluice::test
