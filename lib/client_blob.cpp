// SPDX-License-Identifier: Apache-2.0
#include "lib/client.hpp"

#include <algorithm>
#include <cerrno>

namespace sluice::lib {

std::shared_ptr<BlobFile> Blob::file() const
{
    const MutexLock lock{mutex_};
    return file_;
}

int Blob::lend_fd()
{
    const MutexLock lock{mutex_};
    if (std::ranges::find(lent_, file_) == lent_.end()) {
        lent_.push_back(file_);
    }
    return file_->fd();
}

int Blob::adopt(const OpenedObject& opened, UniqueFd fd)
{
    std::shared_ptr<BlobFile> file;
    const bool lost = !fd;
    if (const int refused = lost ? 0 : BlobFile::open(std::move(fd), opened.size, file); refused != 0) {
        return refused;
    }
    auto digest = digest_text(opened.digest);
    const MutexLock lock{mutex_};
    if (!file_ && lost) {
        return -EMFILE;
    }
    if (!file_) {
        size_ = opened.size;
        digest_ = std::move(digest);
    } else if (opened.size != size_ || digest != digest_) {
        return -ESTALE;
    }
    if (!lost && (!file_ || !file_->same_inode(*file))) {
        file_ = std::move(file); // whoever reads the old one ends with it; its holes will not be filled any more
    }
    return 0;
}

} // namespace sluice::lib
