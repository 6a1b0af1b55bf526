// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::tools {

/// Columns aligned with blanks, for people. Cells are printable text (see base's printable()).
class TextTable {
public:
    enum class Align : std::uint8_t { kLeft, kRight };

    struct Column {
        std::string title;
        Align align = Align::kLeft;
    };

    explicit TextTable(std::vector<Column> columns) : columns_{std::move(columns)} {}

    /// As many cells as there are columns.
    void add(std::vector<std::string> cells);

    /// A line for the titles, one for each row, each with its newline and without blanks at the
    /// end.
    [[nodiscard]] std::string render() const;

private:
    void
    append_line(std::string& out, const std::vector<std::string>& cells, const std::vector<std::size_t>& widths) const;

    std::vector<Column> columns_;
    std::vector<std::vector<std::string>> rows_;
};

} // namespace sluice::tools
