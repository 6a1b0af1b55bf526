// SPDX-License-Identifier: Apache-2.0
#include "protocol/fuse_reader.hpp"

#include "base/aligned_buffer.hpp"

#include <cerrno>

namespace sluice::protocol {

namespace {

void serve(FuseRequest request, const FileHandle& file, ByteRange range, FuseReader::OnHole on_hole)
{
    const auto blocks = range.align_out(kBlockSize);
    // Holes are only ever filled while the file is open here: what is there now is still there when it is read.
    const auto missing = file.missing(blocks);
    if (!missing || !missing->empty()) {
        if (missing && on_hole) {
            on_hole(std::move(request));
        } else {
            request.error(EIO);
        }
        return;
    }
    // One a worker, as large as its largest request; a request is at most a megabyte.
    thread_local AlignedBuffer buffer;
    if (buffer.capacity() < blocks.size()) {
        buffer = AlignedBuffer::allocate(blocks.size());
    }
    buffer.set_size(blocks.size());
    if (!file.read(blocks.begin(), buffer.bytes())) {
        request.error(EIO);
        return;
    }
    request.data(buffer.bytes().subspan(range.begin() - blocks.begin(), range.size()));
}

} // namespace

void FuseReader::answer(FuseRequest request, std::shared_ptr<FileHandle> file, ByteRange range, OnHole on_hole)
{
    workers_.submit([waiting = std::move(request), from = std::move(file), range, otherwise = std::move(on_hole)](
                    ) mutable { serve(std::move(waiting), *from, range, std::move(otherwise)); });
}

} // namespace sluice::protocol
