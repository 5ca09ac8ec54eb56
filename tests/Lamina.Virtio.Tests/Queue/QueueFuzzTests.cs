using System.Diagnostics;
using System.Globalization;
using Lamina.Machine.Backends;
using Lamina.Virtio.Queue;
using Lamina.Virtio.Tests.Fakes;

namespace Lamina.Virtio.Tests.Queue;

/// <summary>
/// Rings of both layouts with whatever a hostile driver writes, also while the device works: every buffer that a queue gives lies in RAM and has no more parts than there is room for, and a ring that
/// makes no sense breaks. <c>LAMINA_FUZZ_SECONDS</c> makes it longer, <c>LAMINA_FUZZ_SEED</c> repeats a round.
/// </summary>
public sealed class QueueFuzzTests
{
    private const double DefaultSeconds = 2;
    private const int Parts = 16;

    [Fact]
    public void NothingInARingIsTrusted()
    {
        double seconds = double.TryParse(Environment.GetEnvironmentVariable("LAMINA_FUZZ_SECONDS"), CultureInfo.InvariantCulture, out double asked) ? asked : DefaultSeconds;
        int? only = int.TryParse(Environment.GetEnvironmentVariable("LAMINA_FUZZ_SEED"), CultureInfo.InvariantCulture, out int seed) ? seed : null;
        int start = only ?? Random.Shared.Next(int.MaxValue / 2);
        int rounds = 0;
        int buffers = 0;
        int broken = 0;
        long begin = Stopwatch.GetTimestamp();
        do
        {
            int round = start + rounds++;
            try
            {
                (int taken, bool isBroken) = Play(new Random(round));
                buffers += taken;
                broken += isBroken ? 1 : 0;
            }
            catch (Exception e)
            {
                Assert.Fail($"Round LAMINA_FUZZ_SEED={round}: {e}");
            }
        }
        while (only == null && Stopwatch.GetElapsedTime(begin).TotalSeconds < seconds);

        TestContext.Current.SendDiagnosticMessage($"{rounds} rounds from LAMINA_FUZZ_SEED={start}; {buffers} buffers were taken, {broken} queues broke");
        Assert.True(only != null || (buffers > rounds / 4 && broken > rounds / 20 && broken < rounds), $"{rounds} rounds gave {buffers} buffers and broke {broken} queues: the test tests little.");
    }

    private static (int Taken, bool IsBroken) Play(Random random)
    {
        using GuestRam ram = new();
        bool packed = random.Next(2) == 0;
        ushort size = packed ? (ushort)random.Next(1, 33) : (ushort)(1 << random.Next(6));
        DriverQueue driver = new(ram, size, packed, indirect: random.Next(2) == 0);
        ulong area = ram.Allocate(8192);
        Virtqueue queue = new(ram.Memory, 64) { Size = size, Addresses = driver.Addresses, Enabled = true };
        queue.Activate((1UL << 32) | (packed ? 1UL << 34 : 0) | (random.Next(2) == 0 ? 1UL << 28 : 0) | (random.Next(2) == 0 ? 1UL << 29 : 0));
        DescriptorChain[] chains = [.. Enumerable.Range(0, size + 1).Select(_ => new DescriptorChain(ram.Memory, Parts))];
        int taken = 0;
        for (int step = 0; step < 40 && !queue.IsBroken; step++)
        {
            Damage(random, ram, driver, area, size, packed);
            int held = 0;
            while (held < chains.Length && queue.Pop(chains[held]))
            {
                Check(chains[held]);
                held++;
                taken++;
                if (random.Next(4) == 0)
                {
                    Damage(random, ram, driver, area, size, packed);
                }
            }

            if (held > 0 && random.Next(4) == 0)
            {
                queue.Unpop(chains[--held]);
            }

            for (int i = 0; i < held; i++)
            {
                queue.Push(chains[i], (uint)random.Next());
            }

            queue.Publish();
            queue.DisableNotifications();
            queue.EnableNotifications();
        }

        return (taken, queue.IsBroken);
    }

    private static void Check(DescriptorChain chain)
    {
        // Empty descriptors leave none.
        Assert.InRange(chain.Readable.Length + chain.Writable.Length, 0, Parts);
        foreach (GuestBuffer buffer in (GuestBuffer[])[.. chain.Readable, .. chain.Writable])
        {
            Assert.True(
                buffer.Address >= GuestRam.Start && buffer.Address + buffer.Length <= GuestRam.Start + GuestRam.Length && buffer.Address + buffer.Length >= buffer.Address,
                $"A buffer of {buffer.Length} bytes at 0x{buffer.Address:x} is not in RAM.");
        }

        // Each byte of it can be read and written.
        byte[] bytes = new byte[256];
        chain.Read(0, bytes);
        chain.Write(0, bytes);
    }

    // Descriptors that are nearly right, indices that are nearly right, and anything at all.
    private static void Damage(Random random, GuestRam ram, DriverQueue driver, ulong area, ushort size, bool packed)
    {
        for (int i = random.Next(1, 6); i > 0; i--)
        {
            ulong table = random.Next(4) == 0 ? area : driver.Descriptors;
            ulong entry = table + (16UL * (uint)random.Next(size));
            ulong address = random.Next(10) == 0 ? (ulong)random.NextInt64() : area + (ulong)random.Next(8192 - 64);
            uint length = random.Next(10) switch { 0 => (uint)random.Next(), 1 => 0, _ => (uint)random.Next(1, 5) * 16 };
            ushort flags = random.Next(10) == 0 ? (ushort)random.Next(65536) : (ushort)random.Next(8);
            if (packed)
            {
                flags |= (ushort)(random.Next(3) switch { 0 => 0x80, 1 => 0x8000, _ => random.Next(2) * 0x8080 });
            }

            ushort next = random.Next(10) == 0 ? (ushort)random.Next(65536) : (ushort)random.Next(size);
            ram.Set(entry, address);
            ram.Set(entry + 8, length);
            ram.Set(entry + 12, packed ? next : flags);
            ram.Set(entry + 14, packed ? flags : next);
        }

        if (!packed)
        {
            ushort index = ram.Get<ushort>(driver.Driver + 2);
            ram.Set(driver.Driver + 4 + (2UL * (uint)random.Next(size)), random.Next(20) == 0 ? (ushort)random.Next(65536) : (ushort)random.Next(size));
            ram.Set(driver.Driver + 2, random.Next(20) == 0 ? (ushort)random.Next(65536) : (ushort)(index + random.Next(0, 3)));
        }

        if (random.Next(10) == 0)
        {
            ram.Set(driver.Driver, (ushort)random.Next(65536));
        }
    }
}
