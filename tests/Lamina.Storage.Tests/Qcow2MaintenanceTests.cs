using System.Text.Json;

namespace Lamina.Storage.Tests;

/// <summary>What is done to images as a whole, each time judged by QEMU's tools: sizes, chains, snapshots, compression, damage.</summary>
public sealed class Qcow2MaintenanceTests : IDisposable
{
    private const int Mebibyte = 1 << 20;
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData("cluster_size=65536")]
    [InlineData("cluster_size=512")]
    [InlineData("compat=0.10,cluster_size=4096")]
    public void ADiskGrowsAndShrinks(string options)
    {
        string path = _directory["disk.qcow2"];
        QemuTool.Check("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, path, "3M");
        byte[] model = new byte[200 * Mebibyte];
        using HostBuffer memory = new(Mebibyte);
        Random random = new(5);
        int length = 3 * Mebibyte;
        foreach (int next in (int[])[5 * Mebibyte, (64 * Mebibyte) + 512, 4 * Mebibyte, (2 * Mebibyte) + 1536, 190 * Mebibyte, 8 * Mebibyte])
        {
            using (DiskImage image = DiskImages.Open(path, null, writable: true))
            {
                for (int i = 0; i < 20; i++)
                {
                    int at = random.Next((length / 512) - 64) * 512;
                    random.NextBytes(memory.Bytes[..32768]);
                    Assert.Equal(0, image.Write((ulong)at, [memory.Vector(0, 32768)]));
                    memory.Bytes[..32768].CopyTo(model.AsSpan(at));
                }

                Assert.Equal(0, image.Resize((ulong)next));
                Assert.Equal((ulong)next, image.Length);
                model.AsSpan(Math.Min(next, length), Math.Abs(next - length)).Clear();
                length = next;
            }

            QemuTool.Check("qemu-img", "check", "-q", path);
            Same(path, model.AsSpan(0, length), memory);
        }
    }

    [Fact]
    public void WhatALongerBackingImageHoldsDoesNotShineThrough()
    {
        byte[] below = new byte[4 * Mebibyte];
        below.AsSpan().Fill(0xaa);
        string backing = _directory.Write("base.img", below);
        string path = _directory["disk.qcow2"];
        DiskImages.Create(path, DiskFormat.Qcow2, Mebibyte + 512, backing);
        using (DiskImage image = DiskImages.Open(path, null, writable: true))
        {
            Assert.Equal(0, image.Resize(3 * Mebibyte));
            Assert.Equal(0, image.Resize(Mebibyte / 2));
            Assert.Equal(0, image.Resize(5 * Mebibyte));
        }

        byte[] expected = new byte[5 * Mebibyte];
        expected.AsSpan(0, Mebibyte / 2).Fill(0xaa);
        using HostBuffer memory = new(Mebibyte);
        QemuTool.Check("qemu-img", "check", "-q", path);
        Same(path, expected, memory);
    }

    [Fact]
    public void AnOverlayIsCommittedToItsBackingImage()
    {
        foreach (string format in (string[])["raw", "qcow2"])
        {
            byte[] model = new byte[3 * Mebibyte];
            Random random = new(7);
            random.NextBytes(model.AsSpan(0, 2 * Mebibyte));
            string raw = _directory.Write("base.raw", model[..(2 * Mebibyte)]);
            string backing = _directory[$"base.{(format == "raw" ? "img" : "qcow2")}"];
            QemuTool.Check("qemu-img", "convert", "-f", "raw", "-O", format, raw, backing);
            string path = _directory[$"top-{format}.qcow2"];
            QemuTool.Check("qemu-img", "create", "-q", "-f", "qcow2", "-b", backing, "-F", format, path, "3M");
            using HostBuffer memory = new(Mebibyte);
            using (DiskImage image = DiskImages.Open(path, null, writable: true))
            {
                Change(image, model, memory, random);
            }

            DiskMaintenance.Commit(path, null);
            Same(backing, model, memory, format == "raw" ? DiskFormat.Raw : null);
            QemuTool.Check("qemu-img", "check", "-q", path);
            Same(path, model, memory);
            using DiskImage emptied = DiskImages.Open(path, null, writable: false);
            Assert.Equal(0, emptied.GetExtent(0, out DiskExtent extent));
            Assert.False(extent.IsAllocated);
        }

        string alone = _directory["alone.qcow2"];
        DiskImages.Create(alone, DiskFormat.Qcow2, Mebibyte, null);
        Assert.Contains("no backing image", Assert.Throws<StorageException>(() => DiskMaintenance.Commit(alone, null)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AnOverlayGetsAnotherBackingImageAndKeepsItsContent()
    {
        Random random = new(9);
        byte[] model = new byte[3 * Mebibyte];
        random.NextBytes(model.AsSpan(0, 2 * Mebibyte));
        string one = _directory.Write("one.img", model);
        byte[] different = [.. model];
        random.NextBytes(different.AsSpan(100_000, 300_000));
        string two = _directory.Write("two.img", different[..(2 * Mebibyte)]);
        string path = _directory["top.qcow2"];
        DiskImages.Create(path, DiskFormat.Qcow2, null, one);
        using HostBuffer memory = new(Mebibyte);
        using (DiskImage image = DiskImages.Open(path, null, writable: true))
        {
            Change(image, model, memory, random);
        }

        DiskMaintenance.Rebase(path, two, DiskFormat.Raw, trust: false, null);
        File.Delete(one);
        Same(path, model, memory);
        Assert.Contains($"backing file: {two}", QemuTool.Check("qemu-img", "info", path), StringComparison.Ordinal);

        // The old one has vanished: only the name can be changed, and that is said.
        string moved = _directory["moved.img"];
        File.Move(two, moved);
        Assert.Contains("two.img", Assert.Throws<StorageException>(() => DiskImages.Open(path, null, writable: true)).Message, StringComparison.Ordinal);
        Assert.Throws<StorageException>(() => DiskMaintenance.Rebase(path, moved, null, trust: false, null));
        DiskMaintenance.Rebase(path, moved, null, trust: true, null);
        Same(path, model, memory);

        DiskMaintenance.Rebase(path, null, null, trust: false, null);
        File.Delete(moved);
        Same(path, model, memory);
        QemuTool.Check("qemu-img", "check", "-q", path);
        Assert.DoesNotContain("backing", QemuTool.Check("qemu-img", "info", path), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("compat=1.1")]
    [InlineData("compat=0.10,cluster_size=4096")]
    public void SnapshotsAreListedAndGoneBackTo(string options)
    {
        string path = _directory["disk.qcow2"];
        QemuTool.Check("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, path, "4M");
        Random random = new(11);
        using HostBuffer memory = new(Mebibyte);
        byte[] model = new byte[4 * Mebibyte];
        List<byte[]> taken = [];
        for (int i = 0; i < 3; i++)
        {
            using (DiskImage image = DiskImages.Open(path, null, writable: true))
            {
                Change(image, model, memory, random);
            }

            taken.Add([.. model]);
            QemuTool.Check("qemu-img", "snapshot", "-c", $"s{i}", path);
        }

        using (DiskImage image = DiskImages.Open(path, null, writable: true))
        {
            Assert.Equal(["s0", "s1", "s2"], DiskMaintenance.GetSnapshots(image).Select(s => s.Name));
            Assert.All(DiskMaintenance.GetSnapshots(image), s => Assert.Equal(4UL * Mebibyte, s.DiskLength));
            Change(image, model, memory, random);
            Assert.NotEqual(0, image.Resize(Mebibyte));
        }

        foreach (int i in (int[])[1, 0, 2, 1])
        {
            DiskMaintenance.ApplySnapshot(path, $"s{i}");
            QemuTool.Check("qemu-img", "check", "-q", path);
            Same(path, taken[i], memory);
            byte[] after = [.. taken[i]];
            using (DiskImage image = DiskImages.Open(path, null, writable: true))
            {
                Change(image, after, memory, random);
            }

            QemuTool.Check("qemu-img", "check", "-q", path);
            Same(path, after, memory);
        }

        Assert.Contains("s0, s1, s2", Assert.Throws<StorageException>(() => DiskMaintenance.ApplySnapshot(path, "s9")).Message, StringComparison.Ordinal);
        for (int i = 0; i < 3; i++)
        {
            QemuTool.Check("qemu-img", "snapshot", "-a", $"s{i}", path);
            Same(path, taken[i], memory);
        }
    }

    [Theory]
    [InlineData("zlib")]
    [InlineData("zstd")]
    public void CompressedImagesAreRead(string kind)
    {
        byte[] model = new byte[4 * Mebibyte];
        for (int i = 0; i < model.Length; i++)
        {
            model[i] = (byte)((i / 977) ^ (i % 7));
        }

        string raw = _directory.Write("raw.img", model);
        string path = _directory["disk.qcow2"];
        QemuTool.Check("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", "-o", $"compression_type={kind}", raw, path);
        using HostBuffer memory = new(Mebibyte);
        Same(path, model, memory);
        using (DiskImage image = DiskImages.Open(path, null, writable: true))
        {
            Change(image, model, memory, new Random(3));
        }

        QemuTool.Check("qemu-img", "check", "-q", path);
        Same(path, model, memory);
        Assert.Equal((0, 0), CheckCounts(path));
    }

    [Fact]
    public void DamageIsFoundAndRepaired()
    {
        string path = _directory["disk.qcow2"];
        DiskImages.Create(path, DiskFormat.Qcow2, 8 * Mebibyte, null);
        Random random = new(13);
        using HostBuffer memory = new(Mebibyte);
        byte[] model = new byte[8 * Mebibyte];
        using (DiskImage image = DiskImages.Open(path, null, writable: true))
        {
            Change(image, model, memory, random);
        }

        Assert.Equal((0, 0), CheckCounts(path));
        byte[] good = File.ReadAllBytes(path);
        int found = 0;
        for (int i = 0; i < 60; i++)
        {
            // The block of reference counts is the third cluster.
            byte[] bad = [.. good];
            int entry = random.Next(good.Length >> 16);
            bad[(2 << 16) + (entry * 2) + 1] = (byte)random.Next(4);
            File.WriteAllBytes(path, bad);
            (int status, string _) = QemuTool.Run("qemu-img", "check", "-q", path);
            (int errors, int leaks) = CheckCounts(path);
            // QEMU also counts flags against a count that is too high as errors.
            Assert.True(errors > 0 ? status == 2 : leaks > 0 ? status is 2 or 3 : status == 0, $"qemu-img check says {status}; {errors} errors and {leaks} leaks were found.");
            found += errors + leaks > 0 ? 1 : 0;
            bool all = errors > 0;
            Assert.Equal(errors + leaks > 0, DiskMaintenance.Check(path, null, all ? DiskRepair.All : DiskRepair.Leaks, null).IsRepaired);
            QemuTool.Check("qemu-img", "check", "-q", path);
            Same(path, model, memory);
        }

        Assert.True(found > 20, "Hardly any damage was done.");

        // Of a program with lazy counts that did not end well.
        QemuTool.Check("qemu-img", "amend", "-f", "qcow2", "-o", "lazy_refcounts=on", path);
        good = File.ReadAllBytes(path);
        good[79] |= 1;
        good.AsSpan((2 << 16) + 20, 40).Clear();
        File.WriteAllBytes(path, good);
        Assert.Contains("not closed properly", Assert.Throws<StorageException>(() => DiskImages.Open(path, null, writable: true)).Message, StringComparison.Ordinal);
        Assert.True(DiskMaintenance.Check(path, null, DiskRepair.All, null).IsRepaired);
        using (DiskImage image = DiskImages.Open(path, null, writable: true))
        {
            Change(image, model, memory, random);
        }

        QemuTool.Check("qemu-img", "check", "-q", path);
        Same(path, model, memory);
    }

    [Theory]
    [InlineData(21)]
    [InlineData(22)]
    public void MapsAreThoseOfQemu(int seed)
    {
        Random random = new(seed);
        byte[] model = new byte[6 * Mebibyte];
        random.NextBytes(model.AsSpan(Mebibyte, Mebibyte));
        string backing = _directory.Write("base.img", model);
        QemuTool.Check("qemu-img", "convert", "-f", "raw", "-O", "qcow2", backing, _directory["base.qcow2"]);
        string path = _directory["top.qcow2"];
        DiskImages.Create(path, DiskFormat.Qcow2, null, _directory["base.qcow2"]);
        using HostBuffer memory = new(Mebibyte);
        using (DiskImage image = DiskImages.Open(path, null, writable: true))
        {
            Change(image, model, memory, random);
        }

        using DiskImage top = DiskImages.Open(path, null, writable: false);
        using JsonDocument map = JsonDocument.Parse(QemuTool.Check("qemu-img", "map", "--output=json", path));
        foreach (JsonElement run in map.RootElement.EnumerateArray())
        {
            ulong start = run.GetProperty("start").GetUInt64();
            ulong end = start + run.GetProperty("length").GetUInt64();
            for (ulong at = start; at < end;)
            {
                Assert.Equal(0, top.GetExtent(at, out DiskExtent extent));
                Assert.Equal(run.GetProperty("zero").GetBoolean(), extent.IsZero);
                if (!extent.IsZero)
                {
                    Assert.Equal(run.GetProperty("depth").GetInt32(), extent.Depth);
                    Assert.Equal(run.GetProperty("offset").GetInt64() + (long)(at - start), extent.FileOffset);
                }

                at += Math.Min(extent.Length, end - at);
            }
        }
    }

    [Fact]
    public void ComparingFindsTheFirstDifference()
    {
        byte[] model = new byte[3 * Mebibyte];
        new Random(1).NextBytes(model.AsSpan(0, Mebibyte));
        string one = _directory.Write("one.img", model);
        string two = _directory["two.qcow2"];
        QemuTool.Check("qemu-img", "convert", "-f", "raw", "-O", "qcow2", one, two);
        using DiskImage first = DiskImages.Open(one, null, writable: false);
        using (DiskImage second = DiskImages.Open(two, null, writable: true))
        {
            Assert.Null(DiskMaintenance.Compare(first, second, null));
            Assert.Equal(0, second.Resize(5 * Mebibyte));
            Assert.Null(DiskMaintenance.Compare(first, second, null));
            using HostBuffer memory = new(512);
            memory.Bytes.Clear();
            memory.Bytes[7] = 1;
            Assert.Equal(0, second.Write(4 * Mebibyte, [memory.Vector(0, 512)]));
            Assert.Equal((4UL * Mebibyte) + 7, DiskMaintenance.Compare(first, second, null));
            Assert.Equal((4UL * Mebibyte) + 7, DiskMaintenance.Compare(second, first, null));
        }
    }

    private (int Errors, int Leaks) CheckCounts(string path)
    {
        DiskCheckResult result = DiskMaintenance.Check(path, DiskFormat.Qcow2, DiskRepair.None, null);
        return (result.Errors, result.Leaks);
    }

    private static void Change(DiskImage image, byte[] model, HostBuffer memory, Random random)
    {
        for (int i = 0; i < 30; i++)
        {
            int at = random.Next(model.Length / 512) * 512;
            int length = Math.Min(random.Next(1, 400) * 512, model.Length - at);
            if (random.Next(5) == 0)
            {
                Assert.Equal(0, image.WriteZeroes((ulong)at, (ulong)length, random.Next(2) == 0));
                model.AsSpan(at, length).Clear();
            }
            else
            {
                random.NextBytes(memory.Bytes[..length]);
                Assert.Equal(0, image.Write((ulong)at, [memory.Vector(0, length)]));
                memory.Bytes[..length].CopyTo(model.AsSpan(at));
            }
        }
    }

    private static void Same(string path, ReadOnlySpan<byte> model, HostBuffer memory, DiskFormat? format = null)
    {
        using DiskImage image = DiskImages.Open(path, format, writable: false);
        Assert.Equal((ulong)model.Length, image.Length);
        for (int at = 0; at < model.Length;)
        {
            int part = Math.Min(Mebibyte, model.Length - at);
            Assert.Equal(0, image.Read((ulong)at, [memory.Vector(0, part)]));
            int same = memory.Bytes[..part].CommonPrefixLength(model.Slice(at, part));
            Assert.True(same == part, $"'{path}' differs at {at + same}.");
            at += part;
        }
    }
}
