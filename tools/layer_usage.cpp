// SPDX-License-Identifier: Apache-2.0
#include "tools/layer_usage.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace sluice::tools {

namespace {

struct Occurrence {
    const MountTable* table;
    const MountEntry* entry;
};

/// All tables, looked up by what decides about use.
class MountIndex {
public:
    explicit MountIndex(const std::vector<MountTable>& tables) : tables_{tables}
    {
        for (const auto& table : tables) {
            for (const auto& entry : table) {
                by_device_[entry.device].push_back({&table, &entry});
                for (const auto& dir : overlay_lower_dirs(entry)) {
                    overlays_by_lower_name_.try_emplace(std::string{last_component(dir)}, &entry);
                }
            }
        }
    }

    [[nodiscard]] const std::vector<Occurrence>& showing(DeviceNumber device) const { return by_device_.at(device); }

    /// Lower directories may be relative, or seen from another root, so that only the last
    /// component can be compared. Layers are named after digests, so nothing else is called like
    /// one.
    [[nodiscard]] const MountEntry* overlay_on(const std::string& name) const
    {
        const auto found = overlays_by_lower_name_.find(name);
        return found == overlays_by_lower_name_.end() ? nullptr : found->second;
    }

    /// The peer groups that an unmount below a mount of `group` reaches: itself, its slaves'
    /// groups, and theirs.
    [[nodiscard]] std::set<std::uint64_t> reached_from(std::uint64_t group) const
    {
        std::set<std::uint64_t> groups{group};
        for (bool grown = true; grown;) {
            grown = false;
            for (const auto& table : tables_) {
                for (const auto& entry : table) {
                    if (entry.master && entry.shared && groups.contains(*entry.master)) {
                        grown = groups.insert(*entry.shared).second || grown;
                    }
                }
            }
        }
        return groups;
    }

private:
    const std::vector<MountTable>& tables_;
    std::map<DeviceNumber, std::vector<Occurrence>> by_device_;
    std::map<std::string, const MountEntry*> overlays_by_lower_name_;
};

/// Where `entry` is mounted, as a path inside its parent's file system: the same in every
/// namespace.
std::string place_in_parent(const MountEntry& parent, const MountEntry& entry)
{
    std::string_view below = entry.mount_point;
    if (parent.mount_point != "/" && below.starts_with(parent.mount_point)) {
        below.remove_prefix(parent.mount_point.size());
    }
    return (parent.root == "/" ? std::string{} : parent.root) + std::string{below};
}

/// Decides which copies of a layer's mount go when it goes.
class Followers {
public:
    Followers(const MountIndex& index, const MountTable& own, const MountEntry& layer)
        : parent_{find_mount(own, layer.parent)}
    {
        if (parent_ != nullptr && parent_->shared) {
            groups_ = index.reached_from(*parent_->shared);
            place_ = place_in_parent(*parent_, layer);
        }
    }

    [[nodiscard]] bool include(const Occurrence& other) const
    {
        const MountEntry* parent = find_mount(*other.table, other.entry->parent);
        if (groups_.empty() || parent == nullptr || parent->device != parent_->device) {
            return false;
        }
        const bool reached = (parent->shared && groups_.contains(*parent->shared)) ||
                             (parent->master && groups_.contains(*parent->master));
        return reached && place_in_parent(*parent, *other.entry) == place_;
    }

private:
    const MountEntry* parent_;
    std::set<std::uint64_t> groups_;
    std::string place_;
};

LayerUse judge(const MountIndex& index, const MountTable& own, const MountEntry& layer, std::string_view name)
{
    LayerUse use{std::string{name}, layer.device, false, {}};
    if (const MountEntry* overlay = index.overlay_on(use.name)) {
        use.used = true;
        use.used_by = overlay->mount_point;
        return use;
    }
    const Followers followers{index, own, layer};
    for (const auto& other : index.showing(layer.device)) {
        // Mount ids are unique among all namespaces: this is our own mount, perhaps seen from a
        // chroot.
        if (other.entry->id != layer.id && !followers.include(other)) {
            use.used = true;
            use.used_by = other.entry->mount_point;
            break;
        }
    }
    return use;
}

} // namespace

std::string_view last_component(std::string_view path) noexcept
{
    while (path.size() > 1 && path.back() == '/') {
        path.remove_suffix(1);
    }
    const auto slash = path.rfind('/');
    return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string_view layer_name(std::string_view layers_dir, std::string_view mount_point) noexcept
{
    if (!mount_point.starts_with(layers_dir)) {
        return {};
    }
    mount_point.remove_prefix(layers_dir.size());
    if (mount_point.size() < 2 || mount_point.front() != '/') {
        return {};
    }
    mount_point.remove_prefix(1);
    return mount_point.find('/') == std::string_view::npos ? mount_point : std::string_view{};
}

std::vector<LayerUse> find_layers(std::string_view layers_dir, const std::vector<MountTable>& tables)
{
    std::vector<LayerUse> layers;
    if (tables.empty()) {
        return layers;
    }
    const MountIndex index{tables};
    const MountTable& own = tables.front();
    for (const auto& entry : own) {
        const auto name = layer_name(layers_dir, entry.mount_point);
        if (!name.empty() && entry.fs_type == "erofs") {
            layers.push_back(judge(index, own, entry, name));
        }
    }
    std::sort(layers.begin(), layers.end(), [](const LayerUse& a, const LayerUse& b) { return a.name < b.name; });
    return layers;
}

} // namespace sluice::tools
