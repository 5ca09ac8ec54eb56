using System.Diagnostics;
using System.Globalization;

namespace Lamina.Storage.Tests;

/// <summary>
/// Images that somebody has damaged on purpose: whatever is in them, opening and using them gives a message or an errno value. <c>LAMINA_FUZZ_SECONDS</c> makes it longer,
/// <c>LAMINA_FUZZ_SEED</c> repeats a round.
/// </summary>
public sealed class Qcow2FuzzTests : IDisposable
{
    private const int Mebibyte = 1 << 20;
    private const double DefaultSeconds = 2;
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void NothingInAnImageIsTrusted()
    {
        byte[][] seeds = MakeSeeds();
        double seconds = double.TryParse(Environment.GetEnvironmentVariable("LAMINA_FUZZ_SECONDS"), CultureInfo.InvariantCulture, out double asked) ? asked : DefaultSeconds;
        int? only = int.TryParse(Environment.GetEnvironmentVariable("LAMINA_FUZZ_SEED"), CultureInfo.InvariantCulture, out int seed) ? seed : null;
        int start = only ?? Random.Shared.Next();
        int rounds = 0;
        int opened = 0;
        long begin = Stopwatch.GetTimestamp();
        using HostBuffer memory = new(Mebibyte);
        string path = _directory["fuzz.qcow2"];
        do
        {
            int round = start + rounds++;
            try
            {
                opened += Try(path, seeds, new Random(round), memory);
            }
            catch (Exception e) when (e is not StorageException)
            {
                Assert.Fail($"Round LAMINA_FUZZ_SEED={round}: {e}");
            }
        }
        while (only == null && Stopwatch.GetElapsedTime(begin).TotalSeconds < seconds);

        TestContext.Current.SendDiagnosticMessage($"{rounds} rounds from LAMINA_FUZZ_SEED={start}; {opened} images could be opened");
        Assert.True(only != null || opened > rounds / 20, $"Of {rounds} images only {opened} could be opened: the test tests little.");
    }

    private byte[][] MakeSeeds()
    {
        byte[] content = new byte[2 * Mebibyte];
        for (int i = 0; i < content.Length; i++)
        {
            content[i] = (byte)(i / 300);
        }

        string raw = _directory.Write("raw.img", content);
        List<byte[]> seeds = [];
        foreach (string options in (string[])["compat=1.1", "compat=0.10,cluster_size=4096", "compat=1.1,cluster_size=512", "compression_type=zstd"])
        {
            string path = _directory["seed.qcow2"];
            string[] compress = options.Contains("512", StringComparison.Ordinal) ? [] : ["-c"];
            QemuTool.Check("qemu-img", ["convert", .. compress, "-f", "raw", "-O", "qcow2", "-o", options, raw, path]);
            QemuTool.Check("qemu-img", "snapshot", "-c", "one", path);
            using (HostBuffer memory = new(65536))
            using (DiskImage image = DiskImages.Open(path, null, writable: true))
            {
                Assert.Equal(0, image.Write(100 * 512, [memory.Vector(0, 65536)]));
            }

            seeds.Add(File.ReadAllBytes(path));
            File.Delete(path);
        }

        return [.. seeds];
    }

    private static int Try(string path, byte[][] seeds, Random random, HostBuffer memory)
    {
        byte[] bytes = [.. seeds[random.Next(seeds.Length)]];
        int cluster = 1 << bytes[23];
        for (int n = random.Next(1, 12); n > 0; n--)
        {
            // Mostly the header and the tables: those are where an L1 or L2 entry points, or at the start.
            int at = random.Next(4) switch
            {
                0 => random.Next(112),
                1 => random.Next(bytes.Length),
                _ => Math.Min(random.Next(bytes.Length / cluster) * cluster + random.Next(Math.Min(cluster, 256)), bytes.Length - 1),
            };
            bytes[at] = random.Next(3) switch { 0 => (byte)random.Next(), 1 => (byte)(bytes[at] ^ (1 << random.Next(8))), _ => (byte)(random.Next(2) * 255) };
        }

        File.WriteAllBytes(path, bytes.AsSpan(0, random.Next(8) == 0 ? random.Next(bytes.Length) : bytes.Length));
        try
        {
            _ = DiskMaintenance.Check(path, DiskFormat.Qcow2, (DiskRepair)random.Next(3), null);
        }
        catch (StorageException)
        {
        }

        try
        {
            using DiskImage image = DiskImages.Open(path, DiskFormat.Qcow2, writable: random.Next(3) != 0);
            for (int i = 0; i < 12 && image.Length >= 65536; i++)
            {
                ulong at = (ulong)random.NextInt64((long)Math.Min(image.Length - 65535, 4 * Mebibyte)) & ~511UL;
                _ = random.Next(6) switch
                {
                    0 => image.Write(at, [memory.Vector(0, 65536)]),
                    1 => image.WriteZeroes(at, 65536, random.Next(2) == 0),
                    2 => image.GetExtent(at, out DiskExtent _),
                    3 => image.Flush(),
                    _ => image.Read(at, [memory.Vector(0, 65536)]),
                };
            }

            if (random.Next(4) == 0 && !image.IsReadOnly)
            {
                _ = image.Resize(image.Length + (ulong)random.Next(100 * Mebibyte) & ~511UL);
            }

            _ = DiskMaintenance.GetSnapshots(image);
        }
        catch (StorageException)
        {
            return 0;
        }

        if (random.Next(4) == 0)
        {
            try
            {
                DiskMaintenance.ApplySnapshot(path, "one");
            }
            catch (StorageException)
            {
            }
        }

        return 1;
    }
}
