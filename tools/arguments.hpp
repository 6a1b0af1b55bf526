// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tools/publish_command.hpp"
#include "tools/top_command.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

namespace sluice::tools {

enum class Subcommand : std::uint8_t {
    kMount,
    kUmount,
    kImages,
    kBlobs,
    kStatus,
    kTop,
    kPrefetch,
    kForget,
    kPublish,
    kExport,
    kReleaseLayers
};

/// sluicectl's command line.
struct Arguments {
    Subcommand subcommand = Subcommand::kStatus;
    bool json = false;
    std::string socket;     ///< never empty
    std::string layers_dir; ///< empty: the daemon's
    std::string reference;
    std::string dir;
    std::string mount_options;
    bool lazy_only = false;
    bool refresh = false;
    bool quiet = false;
    std::string mount_namespace; ///< release-layers: a path, empty: ours; then layers_dir is given
    bool serve = false;          ///< release-layers: for sluice-release@.service
    std::string library_socket;  ///< empty: the daemon says
    std::optional<std::uint32_t> layer;
    TopRequest top;
    PublishRequest publish;
};

/// Help or the version: for stdout, with nothing left to do.
struct Said {
    std::string text;
};

/// The error is a wrong usage, one line.
[[nodiscard]] std::variant<Arguments, Said, Error> parse_arguments(int argc, const char* const* argv);

} // namespace sluice::tools
