// SPDX-License-Identifier: Apache-2.0
#include "tools/publish_command.hpp"

#include "base/text.hpp"
#include "fetcher/reference.hpp"
#include "fetcher/source.hpp"
#include "fetcher/targets.hpp"
#include "tools/passphrase.hpp"
#include "tools/progress.hpp"
#include "tools/text_table.hpp"
#include "trust/hasher.hpp"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <unistd.h>

namespace sluice::tools {

namespace {

constexpr std::size_t kWorkers = 2;
constexpr std::size_t kBufferSize = 1024 * 1024;
constexpr std::size_t kBuffers = 8 * kBufferSize;
constexpr milliseconds kTurn{200};

std::string environment(const char* name)
{
    const char* value = std::getenv(name); // NOLINT(concurrency-mt-unsafe): nobody sets it
    return value == nullptr ? std::string{} : std::string{value};
}

fetcher::RegistryOptions registry_options(const PublishRequest& request)
{
    fetcher::RegistryOptions options;
    options.http.user_agent = "sluicectl";
    options.retry.tries = 6; // somebody sits there and waits, who may have mistyped the name
    options.http.ca_file = request.ca_file.empty() ? environment("SSL_CERT_FILE") : request.ca_file;
    if (request.insecure) {
        const auto reference = fetcher::Reference::parse(request.options.reference);
        if (reference) { // otherwise publish() will say what is wrong with it
            options.insecure.push_back(reference->repository.registry);
        }
    }
    options.http.private_networks = request.private_networks;
    options.credentials_file = request.credentials_file.empty() ? default_credentials_file() : request.credentials_file;
    return options;
}

Task<void> deliver(
    PublishContext context, PublishOptions options, PublishProgress progress, std::optional<Result<PublishReport>>& out
)
{
    auto report = co_await publish(context, std::move(options), std::move(progress));
    out.emplace(std::move(report));
}

} // namespace

Result<PublishReport> run_publish(PublishRequest request, int& interrupted_by)
{
    EventLoop loop;
    interrupted_by = 0;
    // Before the workers: they must have them blocked too.
    const SignalSource on_interrupt{loop, SIGINT, [&] { interrupted_by = SIGINT; }};
    const SignalSource on_terminate{loop, SIGTERM, [&] { interrupted_by = SIGTERM; }};
    WorkerPool workers{kWorkers, "publish"};
    BufferPool buffers{kBuffers, kBufferSize};
    fetcher::Sources sources{loop, registry_options(request), buffers, &trust::sha256};
    fetcher::Targets targets{loop, sources, &trust::sha256};

    request.options.passphrase = [file = request.passphrase_file](const std::string& key) {
        return file.empty() ? ask_passphrase(key) : read_passphrase(file);
    };
    ProgressLine line{STDERR_FILENO};
    const auto progress = [&](const std::string& phase, std::uint64_t done, std::uint64_t total) {
        line.show(phase, done, total);
    };
    std::optional<Result<PublishReport>> outcome;
    {
        TaskScope scope{loop};
        const auto& place = request.options.reference; // begins with its repository
        const PublishContext context{loop, workers, sources.images(place), targets.images(place)};
        scope.spawn(deliver(context, std::move(request.options), progress, outcome));
        while (!outcome && interrupted_by == 0) {
            loop.run_once(kTurn);
        }
    }
    if (!outcome) {
        return fail(ErrorKind::kCancelled, "interrupted");
    }
    return std::move(*outcome);
}

Json to_json(const PublishReport& report)
{
    Json layers = Json::array();
    for (const auto& layer : report.layers) {
        layers.push_back(
            {{"digest", layer.digest.to_string()},
             {"size", layer.size},
             {"erofs_size", layer.erofs_size},
             {"root", layer.root.to_string()},
             {"device", layer.is_device},
             {"was_there", layer.was_there}}
        );
    }
    return Json{
        {"reference", report.reference},
        {"digest", report.digest.to_string()},
        {"manifest_digest", report.manifest.to_string()},
        {"layers", std::move(layers)},
        {"key", {{"id", report.key_id.to_string()}, {"name", report.key_name}}},
        {"signature_tags", report.signature_tags},
        {"notes", report.notes},
    };
}

std::string format_report(const PublishReport& report)
{
    using Align = TextTable::Align;
    TextTable table{{{"LAYER"}, {"EROFS", Align::kRight}, {"BLOB", Align::kRight}, {"KIND"}, {"REGISTRY"}}};
    for (const auto& layer : report.layers) {
        table.add(
            {layer.digest.to_string(),
             format_size(layer.erofs_size),
             format_size(layer.size),
             layer.is_device ? "device" : "layer",
             layer.was_there ? "had it" : "pushed"}
        );
    }
    std::string text = fmt::format("{}@{}\n{}", report.reference, report.digest.to_string(), table.render());
    text += fmt::format("signed with {} ({})\n", printable(report.key_name), report.key_id.to_string());
    for (const auto& note : report.notes) {
        text += fmt::format("note: {}\n", printable(note, 1000));
    }
    return text;
}

std::string default_credentials_file()
{
    const std::string docker = environment("DOCKER_CONFIG");
    const std::string home = environment("HOME");
    const auto file = docker.empty() ? home + "/.docker/config.json" : docker + "/config.json";
    std::error_code ignored;
    return std::filesystem::is_regular_file(file, ignored) ? file : std::string{};
}

} // namespace sluice::tools
