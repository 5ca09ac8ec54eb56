using System.Diagnostics;
using System.Globalization;
using Lamina.Interop.Files;

namespace Lamina.Storage.Tests;

/// <summary>qcow2 images against a model of their disk, and against QEMU's tools: what we write they find in order, what they write we read.</summary>
public sealed class Qcow2Tests : IDisposable
{
    private const int DiskLength = 6 << 20;
    private const int Leaks = 3;
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData("compat=1.1", 1)]
    [InlineData("compat=0.10", 2)]
    [InlineData("compat=1.1,cluster_size=4096", 3)]
    [InlineData("compat=1.1,cluster_size=2M", 4)]
    public void RandomOperationsGiveWhatTheModelSays(string options, int seed)
    {
        string path = _directory["disk.qcow2"];
        QemuTool.Check("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, path, $"{DiskLength}");
        RunAgainstModel(path, new byte[DiskLength], seed);
    }

    [Theory]
    [InlineData("compat=1.1", 5)]
    [InlineData("compat=0.10", 6)]
    public void SoTheyDoOverABackingChain(string options, int seed)
    {
        byte[] content = new byte[DiskLength];
        new Random(seed).NextBytes(content.AsSpan(0, DiskLength - (1 << 20)));
        _directory.Write("base.img", content[..(DiskLength - 4096)]);
        QemuTool.Check("qemu-img", "create", "-q", "-f", "qcow2", "-b", _directory["base.img"], "-F", "raw", _directory["middle.qcow2"], $"{DiskLength}");
        content.AsSpan(DiskLength - 4096).Clear();
        RunAgainstModel(_directory["middle.qcow2"], content, seed);
        string top = _directory["top.qcow2"];
        QemuTool.Check("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, "-b", "middle.qcow2", "-F", "qcow2", top);
        RunAgainstModel(top, content, seed + 100);
    }

    /// <summary><c>LAMINA_QCOW2_SECONDS</c> makes it longer, <c>LAMINA_QCOW2_SEED</c> repeats a sequence.</summary>
    [Fact]
    public void SoTheyDoWhateverTheSequence()
    {
        double seconds = double.TryParse(Environment.GetEnvironmentVariable("LAMINA_QCOW2_SECONDS"), CultureInfo.InvariantCulture, out double asked) ? asked : 2;
        int? only = int.TryParse(Environment.GetEnvironmentVariable("LAMINA_QCOW2_SEED"), CultureInfo.InvariantCulture, out int given) ? given : null;
        int seed = only ?? Random.Shared.Next();
        int sequences = 0;
        long begin = Stopwatch.GetTimestamp();
        do
        {
            Random random = new(seed);
            TestContext.Current.SendDiagnosticMessage($"LAMINA_QCOW2_SEED={seed}");
            byte[] model = new byte[DiskLength];
            string path = _directory[$"{seed}.qcow2"];
            string options = $"compat={(random.Next(3) == 0 ? "0.10" : "1.1")},cluster_size={512 << random.Next(0, 12)}";
            if (random.Next(2) == 0)
            {
                random.NextBytes(model.AsSpan(random.Next(DiskLength / 2), DiskLength / 4));
                string raw = _directory.Write($"{seed}.img", model);
                string backing = _directory[$"{seed}-below.qcow2"];
                QemuTool.Check("qemu-img", ["convert", .. random.Next(2) == 0 ? (string[])["-c"] : [], "-f", "raw", "-O", "qcow2", raw, backing]);
                QemuTool.Check("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, "-b", backing, "-F", "qcow2", path);
            }
            else
            {
                QemuTool.Check("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, path, $"{DiskLength}");
            }

            RunAgainstModel(path, model, seed++, rounds: 1);
            foreach (string file in Directory.GetFiles(Path.GetDirectoryName(path)!))
            {
                File.Delete(file);
            }

            sequences++;
        }
        while (only == null && Stopwatch.GetElapsedTime(begin).TotalSeconds < seconds);
        TestContext.Current.SendDiagnosticMessage($"{sequences} sequences of 60 operations");
    }

    [Fact]
    public async Task ZeroesStayZeroesWhileMemoryIsCollected()
    {
        string path = _directory["disk.qcow2"];
        DiskImages.Create(path, DiskFormat.Qcow2, DiskLength, null);
        using HostBuffer memory = new(65536);
        using DiskImage image = DiskImages.Open(path, null, writable: true);
        using CancellationTokenSource end = new();
        Task collecting = Task.Run(() =>
        {
            while (!end.IsCancellationRequested)
            {
                GC.Collect();
                GC.AllocateUninitializedArray<byte>(65536 - 512, pinned: true).AsSpan().Fill(0xff);
            }
        });
        memory.Bytes.Fill(1);
        long begin = Stopwatch.GetTimestamp();
        for (int i = 0; i < 3000 && (i < 90 || Stopwatch.GetElapsedTime(begin).TotalSeconds < 10); i++)
        {
            ulong at = (ulong)(i % 90) << 16;
            Assert.Equal(0, image.Write(at, [memory.Vector(0, 65536)]));
            Assert.Equal(0, image.WriteZeroes(at + 512, 65536 - 512, mayDiscard: true));
            Assert.Equal(0, image.Read(at + 512, [memory.Vector(512, 65536 - 512)]));
            Assert.False(memory.Bytes[512..].ContainsAnyExcept((byte)0), $"Round {i}: zeroes were written, and something else is there.");
            memory.Bytes.Fill(1);
        }

        await end.CancelAsync();
        await collecting;
    }

    [Fact]
    public void CompressedClustersAndSnapshotsAreReadAndReplaced()
    {
        byte[] content = new byte[DiskLength];
        for (int i = 0; i < content.Length; i++)
        {
            content[i] = (byte)(i / 1000);
        }

        string raw = _directory.Write("raw.img", content);
        string path = _directory["disk.qcow2"];
        QemuTool.Check("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", raw, path);
        RunAgainstModel(path, content, 7, checkEvery: false);
        QemuTool.Check("qemu-img", "snapshot", "-c", "one", path);
        byte[] atSnapshot = [.. content];
        RunAgainstModel(path, content, 8);
        QemuTool.Check("qemu-img", "convert", "-l", "one", "-f", "qcow2", "-O", "raw", path, _directory["snapshot.img"]);
        Assert.True(atSnapshot.AsSpan().SequenceEqual(File.ReadAllBytes(_directory["snapshot.img"])), "The snapshot has changed.");
    }

    [Theory]
    [InlineData(11)]
    [InlineData(12)]
    [InlineData(13)]
    public void AFileThatIsCutOffAtAnyTimeIsWhole(int seed)
    {
        string path = _directory["disk.qcow2"];
        DiskImages.Create(path, DiskFormat.Qcow2, DiskLength, null);
        Random random = new(seed);
        byte[] flushed = new byte[DiskLength];
        byte[] model = new byte[DiskLength];
        using HostBuffer memory = new(1 << 20);
        using DiskImage image = DiskImages.Open(path, null, writable: true);
        for (int i = 0; i < 60; i++)
        {
            Step(image, model, memory, random);
            if (random.Next(4) == 0)
            {
                Assert.Equal(0, image.Flush());
                model.CopyTo(flushed, 0);

                // What the process would leave if it ended here.
                string copy = _directory["copy.qcow2"];
                File.Copy(path, copy, overwrite: true);
                Check(copy);
                using DiskImage again = DiskImages.Open(copy, null, writable: false);
                Assert.True(flushed.AsSpan().SequenceEqual(ReadAll(again, memory)), $"What was flushed is not there after step {i}.");
            }
            else
            {
                string copy = _directory["copy.qcow2"];
                File.Copy(path, copy, overwrite: true);
                Check(copy);
            }
        }

        void Check(string copy)
        {
            (int status, string output) = QemuTool.Run("qemu-img", "check", "-q", "-f", "qcow2", copy);
            Assert.True(status is 0 or Leaks, output);
        }
    }

    [Fact]
    public void ImagesWeMakeAreAsQemuExpects()
    {
        string path = _directory["disk.qcow2"];
        DiskImages.Create(path, DiskFormat.Qcow2, 3UL << 40, null);
        QemuTool.Check("qemu-img", "check", "-q", path);
        Assert.Contains("3 TiB", QemuTool.Check("qemu-img", "info", path), StringComparison.Ordinal);
        string overlay = _directory["overlay.qcow2"];
        DiskImages.Create(overlay, DiskFormat.Qcow2, null, path);
        string info = QemuTool.Check("qemu-img", "info", overlay);
        Assert.Contains($"backing file: {path}", info, StringComparison.Ordinal);
        Assert.Contains("backing file format: qcow2", info, StringComparison.Ordinal);
        QemuTool.Check("qemu-img", "check", "-q", overlay);
        Assert.Contains("exists", Assert.Throws<StorageException>(() => DiskImages.Create(path, DiskFormat.Raw, 512, null)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AChainThatGoesRoundOrEndsNowhereIsRefused()
    {
        string a = _directory["a.qcow2"];
        string b = _directory["b.qcow2"];
        QemuTool.Check("qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", "b.qcow2", "-F", "qcow2", a, "1M");
        Assert.Contains("b.qcow2", Assert.Throws<StorageException>(() => DiskImages.Open(a, null, writable: true)).Message, StringComparison.Ordinal);
        QemuTool.Check("qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", "a.qcow2", "-F", "qcow2", b, "1M");
        Assert.ThrowsAny<StorageException>(() => DiskImages.Open(a, null, writable: false));
        QemuTool.Check("qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", "nbd:localhost:10809", "-F", "raw", _directory["c.qcow2"], "1M");
        Assert.Contains("only files", Assert.Throws<StorageException>(() => DiskImages.Open(_directory["c.qcow2"], null, writable: false)).Message, StringComparison.Ordinal);
        byte[] named = File.ReadAllBytes(b);
        named.AsSpan(named.AsSpan().IndexOf("a.qcow2"u8), 1).Clear();
        File.WriteAllBytes(b, named);
        Assert.Contains("name has a zero in it", Assert.Throws<StorageException>(() => DiskImages.Open(b, null, writable: false)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void DamagedFilesAreRefusedOrGiveErrors()
    {
        string path = _directory["disk.qcow2"];
        DiskImages.Create(path, DiskFormat.Qcow2, DiskLength, null);
        using HostBuffer memory = new(1 << 20);
        using (DiskImage image = DiskImages.Open(path, null, writable: true))
        {
            Random fill = new(1);
            for (int i = 0; i < 30; i++)
            {
                Step(image, new byte[DiskLength], memory, fill);
            }
        }

        byte[] good = File.ReadAllBytes(path);
        Random random = new(21);
        string damaged = _directory["damaged.qcow2"];
        int opened = 0;
        for (int i = 0; i < 400; i++)
        {
            byte[] bytes = [.. good];
            for (int n = random.Next(1, 6); n > 0; n--)
            {
                // The header, or one of the tables at the start.
                bytes[random.Next(2) == 0 ? random.Next(112) : random.Next(5 << 16)] = (byte)random.Next();
            }

            File.WriteAllBytes(damaged, bytes.AsSpan(0, random.Next(4) == 0 ? random.Next(bytes.Length) : bytes.Length));
            try
            {
                using DiskImage image = DiskImages.Open(damaged, DiskFormat.Qcow2, writable: i % 2 == 0);
                opened++;
                for (int at = 0; (ulong)at + 65536 <= Math.Min(image.Length, DiskLength); at += 65536)
                {
                    _ = image.Read((ulong)at, [memory.Vector(0, 65536)]);
                    if (i % 4 == 0)
                    {
                        _ = image.Write((ulong)at, [memory.Vector(0, 512)]);
                    }
                }
            }
            catch (StorageException)
            {
            }
        }

        Assert.True(opened > 20, "Nearly all damage was refused at once: the test tests little.");
    }

    private void RunAgainstModel(string path, byte[] model, int seed, bool checkEvery = true, int rounds = 4)
    {
        Random random = new(seed);
        using HostBuffer memory = new(1 << 20);
        for (int round = 0; round < rounds; round++)
        {
            using (DiskImage image = DiskImages.Open(path, DiskFormat.Qcow2, writable: true))
            {
                Assert.Equal((ulong)DiskLength, image.Length);
                for (int i = 0; i < 60; i++)
                {
                    Step(image, model, memory, random);
                    int at = random.Next(DiskLength / 512) * 512;
                    int length = Math.Min(random.Next(1, 300) * 512, DiskLength - at);
                    Assert.Equal(0, image.Read((ulong)at, [memory.Vector(0, length)]));
                    Assert.True(memory.Bytes[..length].SequenceEqual(model.AsSpan(at, length)), $"Round {round}, step {i}: {length} bytes at {at} are not what was written.");
                }

                Assert.True(ReadAll(image, memory).AsSpan().SequenceEqual(model), "The whole disk is not what was written.");
            }

            if (checkEvery || round == rounds - 1)
            {
                QemuTool.Check("qemu-img", "check", "-q", "-f", "qcow2", path);
            }
        }

        File.WriteAllBytes(_directory["model.img"], model);
        QemuTool.Check("qemu-img", "compare", "-f", "raw", "-F", "qcow2", _directory["model.img"], path);
    }

    private static void Step(DiskImage image, byte[] model, HostBuffer memory, Random random)
    {
        int at = random.Next(DiskLength / 512) * 512;
        int length = Math.Min(random.Next(1, random.Next(2) == 0 ? 20 : 1000) * 512, DiskLength - at);
        switch (random.Next(10))
        {
            case 0:
                Assert.Equal(0, image.WriteZeroes((ulong)at, (ulong)length, mayDiscard: true));
                model.AsSpan(at, length).Clear();
                break;
            case 1:
                Assert.Equal(0, image.WriteZeroes((ulong)at, (ulong)length, mayDiscard: false));
                model.AsSpan(at, length).Clear();
                break;
            case 2:
                // What is discarded reads as zeroes or as before; the model takes it as it is.
                Assert.Equal(0, image.Discard((ulong)at, (ulong)length));
                Assert.Equal(0, image.Read((ulong)at, [memory.Vector(0, length)]));
                for (int i = 0; i < length; i++)
                {
                    Assert.True(memory.Bytes[i] == 0 || memory.Bytes[i] == model[at + i], "A discarded place has something new.");
                }

                memory.Bytes[..length].CopyTo(model.AsSpan(at));
                break;
            case 3:
                Assert.Equal(0, image.Flush());
                break;
            default:
                random.NextBytes(memory.Bytes[..length]);
                int cut = random.Next(length);
                IoVector[] vectors = cut == 0 ? [memory.Vector(0, length)] : [memory.Vector(0, cut), memory.Vector(cut, length - cut)];
                Assert.Equal(0, image.Write((ulong)at, vectors));
                memory.Bytes[..length].CopyTo(model.AsSpan(at));
                break;
        }
    }

    private static byte[] ReadAll(DiskImage image, HostBuffer memory)
    {
        byte[] all = new byte[image.Length];
        for (int at = 0; at < all.Length;)
        {
            int part = Math.Min(1 << 20, all.Length - at);
            Assert.Equal(0, image.Read((ulong)at, [memory.Vector(0, part)]));
            memory.Bytes[..part].CopyTo(all.AsSpan(at));
            at += part;
        }

        return all;
    }
}
