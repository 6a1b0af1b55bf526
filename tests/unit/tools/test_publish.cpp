// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/tools/publish_fixture.hpp"
#include "trust/blob_annotations.hpp"
#include "trust/simple_signing.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fstream>

namespace sluice::tools {
namespace {

class PublishTest : public PublishFixture {
protected:
    /// veritysetup on a blob with the sizes and the root that its annotations name.
    [[nodiscard]] static int verity(const std::filesystem::path& blob, const PublishedLayer& layer)
    {
        return run_shell(fmt::format(
                             "veritysetup verify --no-superblock --salt=- --hash-offset={} --data-blocks={} {} {} {}",
                             layer.erofs_size,
                             layer.erofs_size / kBlockSize,
                             blob.string(),
                             blob.string(),
                             layer.root.hex()
                         ))
            .status;
    }

    /// The EROFS part of a blob.
    [[nodiscard]] std::filesystem::path image_of(const PublishedLayer& layer, const std::string& name) const
    {
        return dir_.write(name, target_.blobs.at(layer.digest.to_string()).substr(0, layer.erofs_size));
    }
};

TEST_F(PublishTest, TheManifestSaysWhatTheDaemonNeeds)
{
    const auto report = publish_or_fail(from_tree());
    EXPECT_EQ(report.reference, "registry.example:5000/team/app:1");
    EXPECT_EQ(report.digest, report.manifest);
    ASSERT_EQ(report.layers.size(), 1U);
    const auto manifest = document("1");
    EXPECT_EQ(trust::sha256(as_byte_span(target_.manifests.at("1"))), report.digest);
    EXPECT_EQ(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    ASSERT_EQ(manifest["layers"].size(), 1U);
    const auto& layer = manifest["layers"][0];
    EXPECT_EQ(layer["mediaType"], "application/vnd.erofs");
    EXPECT_EQ(layer["digest"], report.layers[0].digest.to_string());

    const auto annotations = layer["annotations"].get<trust::Annotations>();
    const auto trust = trust::parse_blob_trust(annotations, layer["size"].get<std::uint64_t>());
    ASSERT_TRUE(trust) << trust.error().text();
    EXPECT_EQ(trust->root, report.layers[0].root);
    EXPECT_EQ(trust->erofs_size, report.layers[0].erofs_size);
    ASSERT_TRUE(trust->index);
    EXPECT_EQ(trust->index->range.begin(), trust->tree_offset + trust->geometry.tree_size());
    EXPECT_EQ(trust->index->range.end(), report.layers[0].size);

    const auto config = Json::parse(target_.blobs.at(manifest["config"]["digest"].get<std::string>()));
    EXPECT_EQ(config["os.features"], Json::array({"erofs"}));
    EXPECT_EQ(config["architecture"], "amd64");
    EXPECT_EQ(config["rootfs"]["diff_ids"], Json::array({report.layers[0].digest.to_string()}));
}

TEST_F(PublishTest, ToolsOfTheDistributionAcceptTheBlob)
{
    const auto report = publish_or_fail(from_tree());
    ASSERT_EQ(report.layers.size(), 1U);
    const auto blob = blob_file(report.layers[0].digest, "blob");
    const auto image = image_of(report.layers[0], "image");
    EXPECT_EQ(verity(blob, report.layers[0]), 0);
    EXPECT_EQ(run_shell("fsck.erofs " + image.string()).status, 0);
    const auto dump = run_shell("dump.erofs -s " + image.string());
    EXPECT_EQ(dump.status, 0) << dump.output;
    const auto out = dir_.path() / "out";
    EXPECT_EQ(run_shell(fmt::format("fsck.erofs --extract={} {}", out.string(), image.string())).status, 0);
    const auto compared = run_shell(fmt::format("diff -r --no-dereference {} {}", tree().string(), out.string()));
    EXPECT_EQ(compared.status, 0) << compared.output;
}

TEST_F(PublishTest, AChangedByteAnywhereBreaksTheProof)
{
    const auto report = publish_or_fail(from_tree());
    ASSERT_EQ(report.layers.size(), 1U);
    const auto& layer = report.layers[0];
    for (const auto at : {std::uint64_t{1030}, layer.erofs_size / 2, layer.erofs_size - 1, layer.erofs_size + 10}) {
        auto bytes = target_.blobs.at(layer.digest.to_string());
        bytes[at] = static_cast<char>(bytes[at] ^ 1);
        EXPECT_NE(verity(dir_.write("changed", bytes), layer), 0) << at;
    }
}

TEST_F(PublishTest, TheChunkIndexHoldsTheDigestOfEachMebibyte)
{
    const auto report = publish_or_fail(from_tree());
    ASSERT_EQ(report.layers.size(), 1U);
    const auto& blob = target_.blobs.at(report.layers[0].digest.to_string());
    const auto annotations = document("1")["layers"][0]["annotations"].get<trust::Annotations>();
    const auto trust = trust::parse_blob_trust(annotations, blob.size());
    ASSERT_TRUE(trust && trust->index);
    const auto range = trust->index->range;
    const auto index = std::string_view{blob}.substr(range.begin());
    EXPECT_EQ(trust::sha256(as_byte_span(index)), trust->index->digest);
    EXPECT_EQ(index.substr(0, 4), "\xcd\xe4\xec\x67");
    const auto chunks = (range.begin() + (1 << 20) - 1) >> 20;
    ASSERT_EQ(index.size(), 32 + chunks * 48);
    for (std::size_t i = 0; i < chunks; ++i) {
        const auto begin = i << 20;
        const auto piece = std::string_view{blob}.substr(begin, std::min<std::size_t>(range.begin() - begin, 1 << 20));
        EXPECT_EQ(
            encode_hex(as_byte_span(index.substr(32 + i * 48 + 16, 32))), trust::sha256(as_byte_span(piece)).hex()
        );
    }
}

TEST_F(PublishTest, TheSignatureVerifiesHereAndWithOpenssl)
{
    const auto report = publish_or_fail(from_tree());
    const auto tag = trust::signature_tag(report.digest);
    EXPECT_EQ(report.signature_tags, std::vector{tag});
    const auto manifest = document(tag);
    ASSERT_EQ(manifest["layers"].size(), 1U);
    const auto& layer = manifest["layers"][0];
    EXPECT_EQ(layer["mediaType"], std::string{trust::kSimpleSigningMediaType});
    const trust::SimpleSigning signature{
        target_.blobs.at(layer["digest"].get<std::string>()),
        layer["annotations"][std::string{trust::kSimpleSigningAnnotation}].get<std::string>()};
    EXPECT_EQ(layer["size"], signature.payload.size());

    trust::KeyRing keys;
    keys.add(*trust::PublicKey::load(dir_.path() / "key.pub"));
    const auto verified = trust::verify_simple_signing(signature, report.digest, keys);
    ASSERT_TRUE(verified) << verified.error().text();
    EXPECT_EQ(verified->docker_reference, "registry.example:5000/team/app");
    EXPECT_EQ(verified->key_id, report.key_id);

    const auto raw = decode_base64(signature.signature);
    ASSERT_TRUE(raw);
    const auto sig = dir_.write("sig", as_text(*raw));
    const auto payload = dir_.write("payload", signature.payload);
    const auto openssl = run_shell(fmt::format(
        "openssl dgst -sha256 -verify {} -signature {} {}",
        (dir_.path() / "key.pub").string(),
        sig.string(),
        payload.string()
    ));
    EXPECT_EQ(openssl.status, 0) << openssl.output;
}

TEST_F(PublishTest, TheTagMovesLast)
{
    const auto report = publish_or_fail(from_tree());
    const std::vector<std::string> expected{
        "blob", "bytes", "put digest", "bytes", "bytes", "put " + trust::signature_tag(report.digest), "put 1"};
    EXPECT_EQ(target_.steps, expected);
    EXPECT_EQ(phases_, (std::vector<std::string>{"pack layer 1", "hash layer 1", "push blob 1 of 1", "sign"}));
}

TEST_F(PublishTest, TheSameTreeGivesTheSameDigests)
{
    const auto first = publish_or_fail(from_tree());
    std::filesystem::copy(
        tree(),
        dir_.path() / "copy",
        std::filesystem::copy_options::recursive | std::filesystem::copy_options::copy_symlinks
    );
    ASSERT_EQ(
        run_shell(fmt::format(
                      "cd {} && find . | while read f; do touch -h -r $f ../copy/$f; done; touch -r . ../copy",
                      tree().string()
                  ))
            .status,
        0
    );
    const auto second = publish_or_fail(options(InputKind::kDirectory, dir_.path() / "copy"));
    EXPECT_EQ(first.digest, second.digest);
    ASSERT_EQ(second.layers.size(), 1U);
    EXPECT_TRUE(second.layers[0].was_there);
    EXPECT_EQ(document(trust::signature_tag(first.digest))["layers"].size(), 1U); // signed already
}

TEST_F(PublishTest, ASecondKeyAddsItsSignature)
{
    const auto first = publish_or_fail(from_tree());
    auto again = from_tree();
    again.key = dir_.write_private("other.pem", trust::test_keys::kEd25519Private);
    const auto second = publish_or_fail(again);
    EXPECT_EQ(first.digest, second.digest);
    EXPECT_EQ(document(trust::signature_tag(first.digest))["layers"].size(), 2U);
}

TEST_F(PublishTest, AnIndexIsSignedWithItsManifest)
{
    auto what = from_tree();
    what.index = true;
    what.media_type = LayerMediaType::kContainerd23;
    const auto report = publish_or_fail(what);
    EXPECT_NE(report.digest, report.manifest);
    const auto index = document("1");
    EXPECT_EQ(index["mediaType"], "application/vnd.oci.image.index.v1+json");
    EXPECT_EQ(index["manifests"][0]["digest"], report.manifest.to_string());
    EXPECT_EQ(index["manifests"][0]["platform"]["os.features"], Json::array({"erofs"}));
    EXPECT_TRUE(target_.manifests.count(trust::signature_tag(report.digest)));
    EXPECT_TRUE(target_.manifests.count(trust::signature_tag(report.manifest)));
    EXPECT_EQ(document(report.manifest.to_string())["layers"][0]["mediaType"], "application/vnd.erofs.layer.v1");
}

TEST_F(PublishTest, SeveralInputsAreLayersInTheirOrder)
{
    (void)dir_.write("upper/other", "upper\n");
    auto what = from_tree();
    what.compression = "lz4hc";
    what.inputs.push_back(options(InputKind::kDirectory, dir_.path() / "upper").inputs[0]);
    const auto report = publish_or_fail(what);
    ASSERT_EQ(report.layers.size(), 2U);
    const auto manifest = document("1");
    EXPECT_EQ(manifest["layers"][0]["digest"], report.layers[0].digest.to_string());
    EXPECT_EQ(manifest["layers"][1]["digest"], report.layers[1].digest.to_string());
    const auto upper = run_shell("fsck.erofs " + image_of(report.layers[1], "image").string());
    EXPECT_EQ(upper.status, 0) << upper.output;
    EXPECT_EQ(verity(blob_file(report.layers[0].digest, "lower"), report.layers[0]), 0);
}

TEST_F(PublishTest, SeparateDataBecomesADeviceLayerThatTheImageNames)
{
    auto what = from_tree();
    what.chunk_size = 65536;
    what.separate_data = true;
    const auto report = publish_or_fail(what);
    ASSERT_EQ(report.layers.size(), 2U);
    EXPECT_TRUE(report.layers[0].is_device);
    EXPECT_FALSE(report.layers[1].is_device);
    const auto manifest = document("1");
    EXPECT_EQ(manifest["layers"][0]["annotations"]["org.erofs.role"], "device");
    EXPECT_FALSE(manifest["layers"][1]["annotations"].contains("org.erofs.role"));

    const auto device = image_of(report.layers[0], "device");
    const auto image = image_of(report.layers[1], "image");
    const auto& bytes = target_.blobs.at(report.layers[1].digest.to_string());
    EXPECT_NE(bytes.find(report.layers[0].digest.hex()), std::string::npos) << "the device table's tag";
    EXPECT_EQ(verity(blob_file(report.layers[0].digest, "blob-0"), report.layers[0]), 0);
    EXPECT_EQ(verity(blob_file(report.layers[1].digest, "blob-1"), report.layers[1]), 0);
    const auto out = dir_.path() / "out";
    const auto fsck =
        run_shell(fmt::format("fsck.erofs --device={} --extract={} {}", device.string(), out.string(), image.string())
        ); // fsck checks the superblock's checksum too
    EXPECT_EQ(fsck.status, 0) << fsck.output;
    const auto compared = run_shell(fmt::format("diff -r --no-dereference {} {}", tree().string(), out.string()));
    EXPECT_EQ(compared.status, 0) << compared.output;
}

TEST_F(PublishTest, AFinishedImageIsPublishedByteForByte)
{
    const auto file = dir_.path() / "finished.erofs";
    ASSERT_EQ(run_shell(fmt::format("mkfs.erofs --quiet {} {}", file.string(), tree().string())).status, 0);
    const auto report = publish_or_fail(options(InputKind::kErofs, file));
    ASSERT_EQ(report.layers.size(), 1U);
    const auto compared =
        run_shell(fmt::format("cmp {} {}", file.string(), image_of(report.layers[0], "image").string()));
    EXPECT_EQ(compared.status, 0) << compared.output;
}

TEST_F(PublishTest, AFinishedImageTakesItsDevices)
{
    const auto file = dir_.path() / "finished.erofs";
    const auto device = dir_.path() / "finished.data";
    ASSERT_EQ(
        run_shell(fmt::format(
                      "mkfs.erofs --quiet --chunksize=4096 --blobdev={} {} {}",
                      device.string(),
                      file.string(),
                      tree().string()
                  ))
            .status,
        0
    );
    auto what = options(InputKind::kErofs, file);
    const auto without = run(what);
    ASSERT_FALSE(without);
    EXPECT_NE(without.error().text().find("1 extra device, and there are 0"), std::string::npos)
        << without.error().text();

    what.inputs[0].devices.push_back(device);
    const auto report = publish_or_fail(what);
    ASSERT_EQ(report.layers.size(), 2U);
    const auto fsck = run_shell(fmt::format(
        "fsck.erofs --device={} {}",
        image_of(report.layers[0], "device").string(),
        image_of(report.layers[1], "image").string()
    ));
    EXPECT_EQ(fsck.status, 0) << fsck.output;
}

TEST_F(PublishTest, OfALayoutOnlyTheDirectorysNameIsSigned)
{
    auto what = from_tree();
    what.reference = "oci:/srv/secret/images:1";
    const auto report = publish_or_fail(what);
    const auto layer = document(trust::signature_tag(report.digest))["layers"][0];
    const auto& payload = target_.blobs.at(layer["digest"].get<std::string>());
    EXPECT_NE(payload.find(R"("docker-reference":"images")"), std::string::npos) << payload;
}

} // namespace
} // namespace sluice::tools
