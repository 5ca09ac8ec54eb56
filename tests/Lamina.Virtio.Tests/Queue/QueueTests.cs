using Lamina.Virtio.Queue;
using Lamina.Virtio.Tests.Fakes;

namespace Lamina.Virtio.Tests.Queue;

/// <summary>Both layouts of a queue against a driver written from the specification.</summary>
public sealed class QueueTests : IDisposable
{
    private const ulong Split = 1UL << 32;
    private readonly GuestRam _ram = new();

    public void Dispose() => _ram.Dispose();

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void BuffersGoRoundManyTimesInAnyOrder(bool packed, bool indirect)
    {
        (Virtqueue queue, DriverQueue driver) = Make(packed ? (ushort)12 : (ushort)16, packed, indirect, eventIndex: true);
        Random random = new(1);
        DescriptorChain[] chains = [.. Enumerable.Range(0, 16).Select(_ => new DescriptorChain(_ram.Memory, 8))];
        ulong area = _ram.Allocate(1 << 16);
        for (int round = 0; round < 500; round++)
        {
            int count = random.Next(1, indirect ? 8 : 4);
            Dictionary<ushort, (int Readable, int Writable, ulong At)> given = [];
            for (int i = 0; i < count; i++)
            {
                int readable = random.Next(0, 3);
                int writable = random.Next(readable == 0 ? 1 : 0, 2);
                ulong at = area + ((ulong)random.Next(0, 1000) * 16);
                ushort id = driver.Add(
                    [.. Enumerable.Range(0, readable).Select(r => (at + ((ulong)r * 512), 100 + r))],
                    [.. Enumerable.Range(0, writable).Select(w => (at + 4096 + ((ulong)w * 512), 200 + w))]);
                given[id] = (readable, writable, at);
            }

            List<DescriptorChain> taken = [];
            for (int i = 0; i < count; i++)
            {
                Assert.True(queue.Pop(chains[i]));
                (int readable, int writable, ulong at) = given[chains[i].Id];
                Assert.Equal(readable, chains[i].Readable.Length);
                Assert.Equal(writable, chains[i].Writable.Length);
                Assert.Equal((ulong)Enumerable.Range(0, readable).Sum(r => 100 + r), chains[i].ReadableLength);
                Assert.True(readable == 0 || chains[i].Readable[0].Address == at);
                taken.Insert(random.Next(taken.Count + 1), chains[i]);
            }

            Assert.False(queue.Pop(chains[15]));
            Assert.False(queue.IsBroken);
            for (int i = 0; i < count; i++)
            {
                queue.Push(taken[i], (uint)(1000 + i));
            }

            Assert.Null(driver.Take());
            queue.Publish();
            for (int i = 0; i < count; i++)
            {
                Assert.Equal((taken[i].Id, (uint)(1000 + i)), driver.Take());
            }

            Assert.Null(driver.Take());
        }
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void WhatLiesInTwoRegionsOfRamIsTakenInParts(bool packed, bool indirect)
    {
        // RAM that was added begins where other RAM ends: at the fourth page.
        const ulong Seam = GuestRam.Start + 0x4000;
        using GuestRam ram = new(5);
        ulong rings = ram.Allocate(0x1_0000);
        (Virtqueue queue, DriverQueue driver) = Make(8, packed, indirect, eventIndex: false, ram);
        DescriptorChain chain = new(ram.Memory, 3);
        byte[] content = new byte[300];
        new Random(1).NextBytes(content);
        Assert.True(ram.Memory.TryWrite(Seam - 100, content.AsSpan(0, 100)) && ram.Memory.TryWrite(Seam, content.AsSpan(100)));
        ushort id = driver.Add([(Seam - 100, 300)], [(rings, 8), (Seam - 0x1008, 0x1010)]);
        Assert.True(queue.Pop(chain), "All of it is RAM.");
        Assert.Equal((id, 300UL, 0x1018UL), (chain.Id, chain.ReadableLength, chain.WritableLength));
        Assert.Equal([(Seam - 100, 100u), (Seam, 200u)], chain.Readable.ToArray().Select(p => (p.Address, p.Length)));
        Assert.Equal([(rings, 8u), (Seam - 0x1008, 8u), (Seam - 0x1000, 0x1000u), (Seam, 8u)], chain.Writable.ToArray().Select(p => (p.Address, p.Length)));
        Assert.All([.. chain.Readable, .. chain.Writable], p => Assert.Equal(ram.Memory.GetHostAddress(p.Address, p.Length), p.HostAddress));
        byte[] read = new byte[400];
        Assert.Equal(300, chain.Read(0, read));
        Assert.Equal(content, read[..300]);
        Assert.Equal(16, chain.Write(0, content.AsSpan(0, 16)));
        Assert.Equal(content[8..16], ram.Get(Seam - 0x1008, 8));
        queue.Push(chain, 16);
        queue.Publish();
        Assert.Equal((id, 16u), driver.Take());

        // More parts than there can be in a sound driver's buffer, and what goes on behind the end.
        driver.Add([(Seam - 0x2008, 0x3000)], [(Seam - 0x2008, 0x3000), (Seam - 0x1008, 0x2000)]);
        Assert.False(queue.Pop(chain));
        Assert.True(queue.IsBroken);
        (queue, driver) = Make(8, packed, indirect, eventIndex: false, ram);
        driver.Add([(GuestRam.Start + GuestRam.Length - 8, 16)], []);
        Assert.False(queue.Pop(chain));
        Assert.True(queue.IsBroken);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void WhatWasTakenCanBePutBack(bool packed)
    {
        (Virtqueue queue, DriverQueue driver) = Make(4, packed, indirect: false, eventIndex: false);
        ulong at = _ram.Allocate(4096);
        DescriptorChain first = new(_ram.Memory, 4);
        DescriptorChain second = new(_ram.Memory, 4);
        for (int round = 0; round < 10; round++)
        {
            ushort a = driver.Add([(at, 10)], [(at, 11)]);
            ushort b = driver.Add([], [(at, 12)]);
            Assert.True(queue.Pop(first) && queue.Pop(second));
            queue.Unpop(second);
            queue.Unpop(first);
            Assert.True(queue.Pop(first) && queue.Pop(second));
            Assert.Equal((a, b), (first.Id, second.Id));
            queue.Push(first, 1);
            queue.Push(second, 2);
            queue.Publish();
            Assert.Equal((a, 1u), driver.Take());
            Assert.Equal((b, 2u), driver.Take());
        }
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void TheDriverIsToldAsItWishes(bool packed, bool eventIndex)
    {
        (Virtqueue queue, DriverQueue driver) = Make(8, packed, indirect: false, eventIndex);
        ulong at = _ram.Allocate(64);
        for (int round = 0; round < 40; round++)
        {
            driver.WantInterrupts(true, eventIndex);
            Assert.True(UseOne());
            driver.WantInterrupts(false, eventIndex);
            Assert.False(UseOne());
            if (eventIndex)
            {
                // The third from here.
                driver.WantInterrupts(true, eventIndex, after: 2);
                Assert.False(UseOne());
                Assert.False(UseOne());
                Assert.True(UseOne());
            }
        }

        bool UseOne()
        {
            driver.Add([], [(at, 64)]);
            DescriptorChain chain = new(_ram.Memory, 4);
            Assert.True(queue.Pop(chain));
            queue.Push(chain, 1);
            bool told = queue.Publish();
            Assert.NotNull(driver.Take());
            return told;
        }
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void AskingForNotificationsNoticesWhatIsThereAlready(bool packed, bool eventIndex)
    {
        (Virtqueue queue, DriverQueue driver) = Make(8, packed, indirect: false, eventIndex);
        ulong at = _ram.Allocate(64);
        DescriptorChain chain = new(_ram.Memory, 4);
        queue.DisableNotifications();
        Assert.False(queue.EnableNotifications());
        driver.Add([], [(at, 64)]);
        Assert.True(queue.EnableNotifications());
        Assert.True(queue.Pop(chain));
        Assert.False(queue.EnableNotifications());
    }

    [Fact]
    public void SplitRingsThatNoDriverWritesAreBroken()
    {
        ulong at = _ram.Allocate(4096);
        Check(d => _ram.Set(d.Driver + 2, (ushort)9)); // More than the ring holds.
        Check(d => Available(d, 8)); // No such descriptor.
        Check(d => Describe(d, 0, at, 16, 1, 8)); // Leads outside.
        Check(d => Describe(d, 0, at, 16, 1, 0)); // Leads to itself.
        Check(d => Describe(d, 0, 0, 16, 0, 0)); // Not RAM.
        Check(d => Describe(d, 0, GuestRam.Start + GuestRam.Length - 8, 16, 0, 0)); // Leaves RAM.
        Check(d => Describe(d, 0, ulong.MaxValue - 8, 16, 0, 0)); // Wraps.
        Check(d => Describe(d, 0, at, 0, 4, 0)); // An empty table.
        Check(d => Describe(d, 0, at, 17, 4, 0)); // Half a descriptor.
        Check(d => Describe(d, 0, at, 16, 5, 0)); // A table and a next.
        Check(d => Describe(d, 0, at, 1 << 20, 4, 0)); // A table that is too long.
        Check(d =>
        {
            // A table in a table.
            _ram.Set(at, at);
            _ram.Set(at + 8, 16u | (4UL << 32));
            Describe(d, 0, at, 16, 4, 0);
        });
        Check(d =>
        {
            // Readable after writable.
            Describe(d, 0, at, 16, 3, 1);
            Describe(d, 1, at, 16, 0, 0);
        });

        void Check(Action<DriverQueue> misbehave)
        {
            (Virtqueue queue, DriverQueue driver) = Make(8, packed: false, indirect: false, eventIndex: true);
            _ram.Set(driver.Driver + 2, (ushort)1);
            misbehave(driver);
            DescriptorChain chain = new(_ram.Memory, 16);
            Assert.False(queue.Pop(chain));
            Assert.True(queue.IsBroken);
            Assert.False(queue.Pop(chain));
            Assert.False(queue.Publish());
        }

        void Available(DriverQueue driver, ushort head) => _ram.Set(driver.Driver + 4, head);

        void Describe(DriverQueue driver, int index, ulong address, int length, ushort flags, ushort next)
        {
            ulong entry = driver.Descriptors + (16UL * (uint)index);
            _ram.Set(entry, address);
            _ram.Set(entry + 8, (uint)length);
            _ram.Set(entry + 12, flags);
            _ram.Set(entry + 14, next);
        }
    }

    [Theory]
    [InlineData(0x81, "a next that never ends")]
    [InlineData(0x85, "a table and a next")]
    public void PackedRingsThatNoDriverWritesAreBroken(int flags, string reason)
    {
        (Virtqueue queue, DriverQueue driver) = Make(8, packed: true, indirect: false, eventIndex: true);
        ulong at = _ram.Allocate(64);
        for (uint i = 0; i < 8; i++)
        {
            _ram.Set(driver.Descriptors + (16 * i), at);
            _ram.Set(driver.Descriptors + (16 * i) + 8, 16UL | ((ulong)flags << 48));
        }

        Assert.False(queue.Pop(new DescriptorChain(_ram.Memory, 16)));
        Assert.True(queue.IsBroken, reason);
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void ADriverThatMakesBuffersAvailableBeforeItIsShownTheUsedOnesBreaksItsQueue(bool packed, bool pushes)
    {
        const int Patience = 1000;
        (Virtqueue queue, DriverQueue driver) = Make(8, packed, indirect: false, eventIndex: false);
        ulong at = _ram.Allocate(64);
        DescriptorChain chain = new(_ram.Memory, 4);
        for (int i = 0; i < 8; i++)
        {
            driver.Add([], [(at, 64)]);
        }

        int taken = 0;
        while (taken < Patience && queue.Pop(chain))
        {
            if (pushes)
            {
                queue.Push(chain, 1);
            }

            // The same place again, as another processor of the guest can have it while the device works.
            if (packed)
            {
                ulong entry = driver.Descriptors + (16UL * (uint)(taken % 8));
                _ram.Set(entry, at);
                _ram.Set(entry + 8, 64u);
                _ram.Set(entry + 14, (ushort)(2 | (taken / 8 % 2 == 0 ? 0x8000 : 0x80)));
            }
            else
            {
                _ram.Set(driver.Driver + 2, (ushort)(9 + taken));
            }

            taken++;
        }

        Assert.True(queue.IsBroken && taken <= 8, $"{taken} buffers were taken of a ring of 8, and none of them was shown as used.");
    }

    [Theory]
    [InlineData(7, false)]
    [InlineData(0, false)]
    [InlineData(0, true)]
    [InlineData(4096, false)]
    public void ImpossibleSizesAreBroken(ushort size, bool packed)
    {
        DriverQueue driver = new(_ram, 8, packed, false);
        Virtqueue queue = new(_ram.Memory, 256) { Size = size, Enabled = true, Addresses = driver.Addresses };
        queue.Activate(Split | (packed ? 1UL << 34 : 0));
        Assert.True(queue.IsBroken);
        Assert.False(queue.IsActive);
    }

    [Theory]
    [InlineData(0UL)]
    [InlineData(GuestRam.Start + GuestRam.Length - 16)]
    [InlineData(ulong.MaxValue)]
    public void RingsOutsideRamAreBroken(ulong address)
    {
        DriverQueue driver = new(_ram, 8, false, false);
        for (int part = 0; part < 3; part++)
        {
            QueueAddresses addresses = new(part == 0 ? address : driver.Descriptors, part == 1 ? address : driver.Driver, part == 2 ? address : driver.Device);
            Virtqueue queue = new(_ram.Memory, 256) { Size = 8, Enabled = true, Addresses = addresses };
            queue.Activate(Split);
            Assert.True(queue.IsBroken);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void GarbageInTheRingsNeverLeavesRamOrHangs(bool packed)
    {
        Random random = new(5);
        byte[] garbage = new byte[8 * 16];
        DescriptorChain chain = new(_ram.Memory, 16);
        int chains = 0;
        for (int round = 0; round < 20_000; round++)
        {
            if (round % 1000 == 0)
            {
                _ramMark = null;
            }

            (Virtqueue queue, DriverQueue driver) = _ramMark ??= Make(8, packed, indirect: true, eventIndex: round % 2000 == 0);
            queue.Reset();
            (queue.Size, queue.Enabled, queue.Addresses) = (8, true, driver.Addresses);
            queue.Activate(Split | (1UL << 28) | (packed ? 1UL << 34 : 0));
            random.NextBytes(garbage);
            for (int i = 0; i < 8; i++)
            {
                // Half of them plausible.
                if (random.Next(2) == 0)
                {
                    BitConverter.TryWriteBytes(garbage.AsSpan(i * 16), GuestRam.Start + (ulong)random.Next((int)GuestRam.Length));
                    BitConverter.TryWriteBytes(garbage.AsSpan((i * 16) + 8), random.Next(5000));
                    BitConverter.TryWriteBytes(garbage.AsSpan((i * 16) + 12), random.Next(8) | (random.Next(8) << 16) | (packed ? 0x80 << 16 : 0));
                }
            }

            _ram.Memory.TryWrite(driver.Descriptors, garbage);
            random.NextBytes(garbage);
            if (!packed && random.Next(4) != 0)
            {
                // A plausible index, and plausible heads.
                BitConverter.TryWriteBytes(garbage.AsSpan(2), (ushort)random.Next(10));
                for (int i = 4; i < 20; i += 2)
                {
                    BitConverter.TryWriteBytes(garbage.AsSpan(i), (ushort)random.Next(9));
                }
            }

            _ram.Memory.TryWrite(driver.Driver, garbage.AsSpan(0, packed ? 4 : 22));
            for (int i = 0; i < 10 && queue.Pop(chain); i++)
            {
                chains++;
                foreach (Machine.Backends.GuestBuffer part in chain.Readable)
                {
                    Assert.Equal(part.HostAddress, _ram.Memory.GetHostAddress(part.Address, part.Length));
                }

                queue.Push(chain, (uint)random.Next());
                queue.Publish();
            }
        }

        Assert.True(chains > 100, $"Only {chains} of the buffers were possible ones: the test tests little.");
    }

    private (Virtqueue Queue, DriverQueue Driver)? _ramMark;

    private (Virtqueue Queue, DriverQueue Driver) Make(ushort size, bool packed, bool indirect, bool eventIndex, GuestRam? ram = null)
    {
        ram ??= _ram;
        DriverQueue driver = new(ram, size, packed, indirect);
        Virtqueue queue = new(ram.Memory, 256) { Size = size, Enabled = true, Addresses = driver.Addresses };
        queue.Activate(Split | (1UL << 28) | (packed ? 1UL << 34 : 0) | (eventIndex ? 1UL << 29 : 0));
        Assert.True(queue.IsActive);
        return (queue, driver);
    }
}
