// SPDX-License-Identifier: Apache-2.0
#include "tools/text_table.hpp"

#include <algorithm>
#include <cassert>

namespace sluice::tools {

namespace {

constexpr std::string_view kGap = "  ";

} // namespace

void TextTable::add(std::vector<std::string> cells)
{
    assert(cells.size() == columns_.size());
    rows_.push_back(std::move(cells));
}

void TextTable::append_line(
    std::string& out, const std::vector<std::string>& cells, const std::vector<std::size_t>& widths
) const
{
    std::string line;
    for (std::size_t i = 0; i < cells.size(); ++i) {
        const std::string padding(widths[i] - cells[i].size(), ' ');
        line += i == 0 ? std::string_view{} : kGap;
        line += columns_[i].align == Align::kRight ? padding + cells[i] : cells[i] + padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + '\n';
}

std::string TextTable::render() const
{
    std::vector<std::string> titles;
    std::vector<std::size_t> widths;
    for (const auto& column : columns_) {
        titles.push_back(column.title);
        widths.push_back(column.title.size());
    }
    for (const auto& row : rows_) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            widths[i] = std::max(widths[i], row[i].size());
        }
    }
    std::string out;
    append_line(out, titles, widths);
    for (const auto& row : rows_) {
        append_line(out, row, widths);
    }
    return out;
}

} // namespace sluice::tools
