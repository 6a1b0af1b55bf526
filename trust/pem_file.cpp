// SPDX-License-Identifier: Apache-2.0
#include "trust/pem_file.hpp"

#include "base/text.hpp"
#include "base/unique_fd.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <new>
#include <openssl/bio.h>
#include <unistd.h>

namespace sluice::trust {

namespace {

constexpr std::size_t kMaxPemSize = 64 * 1024;

} // namespace

Result<std::string> read_pem_file(const std::filesystem::path& file)
{
    const auto what = fmt::format("key {}", printable(file.string()));
    const UniqueFd fd{kAdoptFd, ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY)};
    if (!fd) {
        return fail_errno(errno, what);
    }
    std::string text;
    std::array<char, 4096> piece{};
    while (true) {
        const auto count = ::read(fd.get(), piece.data(), piece.size());
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return fail_errno(errno, what);
        }
        if (count == 0) {
            return text;
        }
        text.append(piece.data(), static_cast<std::size_t>(count));
        if (text.size() > kMaxPemSize) {
            return fail(ErrorKind::kInvalid, fmt::format("{}: longer than {} bytes", what, kMaxPemSize));
        }
    }
}

BioPtr open_pem(std::string_view pem)
{
    BioPtr bio{BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))};
    if (bio == nullptr) {
        throw std::bad_alloc{};
    }
    return bio;
}

int refuse_passphrase(char* /*out*/, int /*size*/, int /*writing*/, void* /*unused*/) noexcept
{
    return -1;
}

} // namespace sluice::trust
