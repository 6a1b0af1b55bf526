// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/bare_curl.hpp"

#include "base/aligned_buffer.hpp"

#include <cerrno>
#include <curl/curl.h>
#include <fcntl.h>
#include <memory>
#include <system_error>
#include <unistd.h>

namespace sluice::bench {

namespace {

constexpr std::size_t kLongest = 4U << 20; ///< of the ranges that a storing reader is given

class Handle {
public:
    Handle(const std::string& url, int store) : store_{store}, curl_{curl_easy_init()}
    {
        if (store_ >= 0) {
            memory_ = AlignedBuffer::allocate(kLongest);
        }
        curl_easy_setopt(curl_, CURLOPT_URL, url.c_str());
        curl_easy_setopt(curl_, CURLOPT_WRITEFUNCTION, &Handle::take);
        curl_easy_setopt(curl_, CURLOPT_WRITEDATA, this);
        curl_easy_setopt(curl_, CURLOPT_BUFFERSIZE, 256L * 1024);
        curl_easy_setopt(curl_, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(curl_, CURLOPT_TCP_NODELAY, 1L);
    }

    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;

    ~Handle() { curl_easy_cleanup(curl_); }

    bool get(ByteRange range)
    {
        received_ = 0;
        memory_.set_size(0);
        const auto text = range.to_string();
        curl_easy_setopt(curl_, CURLOPT_RANGE, text.c_str());
        return curl_easy_perform(curl_) == CURLE_OK && received_ == range.size() && (store_ < 0 || put(range));
    }

private:
    bool put(ByteRange range)
    {
        const auto written = ::pwrite(store_, memory_.bytes().data(), range.size(), static_cast<off_t>(range.begin()));
        return written == static_cast<ssize_t>(range.size());
    }

    static std::size_t take(char* data, std::size_t size, std::size_t count, void* self)
    {
        auto& handle = *static_cast<Handle*>(self);
        handle.received_ += size * count;
        if (handle.store_ >= 0) {
            handle.memory_.append(std::as_bytes(std::span{data, size * count}));
        }
        return size * count;
    }

    int store_;
    CURL* curl_;
    AlignedBuffer memory_;
    std::uint64_t received_ = 0;
};

std::function<bool(ByteRange)> reader(const std::string& url, int store)
{
    return [handle = std::make_shared<Handle>(url, store)](ByteRange range) { return handle->get(range); };
}

} // namespace

StoreFile::StoreFile(std::uint64_t size)
{
    const auto path = dir_.path() / "stored";
    fd_ = UniqueFd{kAdoptFd, ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_DIRECT, 0600)};
    if (!fd_ || ::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) {
        throw std::system_error{errno, std::system_category(), path.string()};
    }
}

std::function<bool(ByteRange)> bare_curl(const std::string& url)
{
    return reader(url, -1);
}

std::function<bool(ByteRange)> storing_curl(const std::string& url, const StoreFile& file)
{
    return reader(url, file.fd());
}

} // namespace sluice::bench
