// SPDX-License-Identifier: Apache-2.0
// A stand-in for libFuzzer's main() that any compiler can build. It feeds the target every seed as
// it is, and then a fixed number of mutated seeds; the same arguments always give the same inputs,
// so that a failure can be repeated. Options are libFuzzer's own (-runs, -seed, -max_len); others
// are ignored, and paths name seeds or folders of them.
#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Input = std::vector<uint8_t>;

struct Options {
    size_t runs = 1000;
    size_t seed = 1;
    size_t max_len = 4096;
    std::vector<std::filesystem::path> paths;
};

std::optional<size_t> option_value(std::string_view argument, std::string_view name)
{
    if (!argument.starts_with(name)) {
        return std::nullopt;
    }
    argument.remove_prefix(name.size());
    size_t value = 0;
    const auto end = argument.data() + argument.size();
    const auto parsed = std::from_chars(argument.data(), end, value);
    if (parsed.ec != std::errc() || parsed.ptr != end) {
        return std::nullopt;
    }
    return value;
}

Options parse_options(int argc, char** argv)
{
    Options options;
    for (int i = 1; i < argc; ++i) {
        const std::string_view argument = argv[i];
        if (const auto runs = option_value(argument, "-runs=")) {
            options.runs = *runs;
        } else if (const auto seed = option_value(argument, "-seed=")) {
            options.seed = *seed;
        } else if (const auto max_len = option_value(argument, "-max_len=")) {
            options.max_len = *max_len;
        } else if (!argument.starts_with("-")) {
            options.paths.emplace_back(argument);
        }
    }
    return options;
}

Input read_input(const std::filesystem::path& path)
{
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        std::fprintf(stderr, "cannot read the seed %s\n", path.c_str());
        std::exit(2);
    }
    return Input(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

std::vector<Input> load_seeds(const std::vector<std::filesystem::path>& paths)
{
    std::vector<std::filesystem::path> files;
    for (const auto& path : paths) {
        if (!std::filesystem::is_directory(path)) {
            files.push_back(path);
            continue;
        }
        for (const auto& entry : std::filesystem::directory_iterator(path)) {
            if (entry.is_regular_file()) {
                files.push_back(entry.path());
            }
        }
    }
    std::sort(files.begin(), files.end()); // a folder's order differs between machines
    std::vector<Input> seeds;
    for (const auto& file : files) {
        seeds.push_back(read_input(file));
    }
    return seeds;
}

class Mutator {
public:
    Mutator(size_t seed, size_t max_len) : random_(seed), max_len_(max_len) {}

    Input mutate(Input input, const std::vector<Input>& seeds)
    {
        for (size_t steps = 1 + below(6); steps > 0; --steps) {
            step(input, seeds);
        }
        input.resize(std::min(input.size(), max_len_));
        return input;
    }

    // Modulo instead of uniform_int_distribution: that one's results differ between standard
    // libraries.
    size_t below(size_t limit) { return static_cast<size_t>(random_() % limit); }

private:
    void step(Input& input, const std::vector<Input>& seeds)
    {
        switch (input.empty() ? 0 : below(8)) {
        case 0:
            return insert(input, random_byte());
        case 1:
            input[below(input.size())] = random_byte();
            return;
        case 2:
            input[below(input.size())] ^= static_cast<uint8_t>(1U << below(8));
            return;
        case 3:
            return erase(input);
        case 4:
            input.resize(below(input.size() + 1));
            return;
        case 5:
            return interesting(input);
        case 6:
            return duplicate(input);
        default:
            return splice(input, seeds[below(seeds.size())]);
        }
    }

    uint8_t random_byte() { return static_cast<uint8_t>(random_() & 0xff); }

    void insert(Input& input, uint8_t byte) { input.insert(at(input, below(input.size() + 1)), byte); }

    void erase(Input& input)
    {
        const size_t begin = below(input.size());
        const size_t count = 1 + below(std::min<size_t>(input.size() - begin, 16));
        input.erase(at(input, begin), at(input, begin + count));
    }

    // The values at which lengths, offsets and counts go wrong, in widths of 1, 2, 4 and 8 bytes.
    void interesting(Input& input)
    {
        static constexpr uint64_t kValues[] = {
            0,
            1,
            0x7f,
            0x80,
            0xff,
            0xfff,
            0x1000,
            0x7fff,
            0xffff,
            0x7fffffff,
            0x80000000,
            0xffffffff,
            0x7fffffffffffffff,
            0x8000000000000000,
            0xffffffffffffffff};
        const uint64_t value = kValues[below(std::size(kValues))];
        const size_t width = size_t{1} << below(4);
        const size_t begin = below(input.size());
        for (size_t i = 0; i < width && begin + i < input.size(); ++i) {
            input[begin + i] = static_cast<uint8_t>(value >> (8 * i));
        }
    }

    void duplicate(Input& input)
    {
        const size_t begin = below(input.size());
        const size_t count = 1 + below(std::min<size_t>(input.size() - begin, 64));
        const Input part(at(input, begin), at(input, begin + count));
        input.insert(at(input, below(input.size() + 1)), part.begin(), part.end());
    }

    void splice(Input& input, const Input& other)
    {
        input.resize(below(input.size() + 1));
        const size_t from = below(other.size() + 1);
        input.insert(input.end(), other.begin() + static_cast<std::ptrdiff_t>(from), other.end());
    }

    static Input::iterator at(Input& input, size_t index) { return input.begin() + static_cast<std::ptrdiff_t>(index); }

    std::mt19937_64 random_;
    size_t max_len_;
};

void run(const Input& input)
{
    // A copy of exactly the input's size, so that AddressSanitizer sees a read one byte behind its
    // end.
    const std::vector<uint8_t> exact(input.begin(), input.end());
    LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

} // namespace

int main(int argc, char** argv)
{
    const Options options = parse_options(argc, argv);
    std::vector<Input> seeds = load_seeds(options.paths);
    if (seeds.empty()) {
        std::fprintf(stderr, "no seeds: a target needs at least one file in its corpus\n");
        return 2;
    }
    for (const auto& seed : seeds) {
        run(seed);
    }
    run({});
    Mutator mutator(options.seed, options.max_len);
    for (size_t i = 0; i < options.runs; ++i) {
        run(mutator.mutate(seeds[mutator.below(seeds.size())], seeds));
    }
    std::printf("%zu seeds and %zu mutations\n", seeds.size(), options.runs);
    return 0;
}
