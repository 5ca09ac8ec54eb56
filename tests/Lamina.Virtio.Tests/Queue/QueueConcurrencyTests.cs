using Lamina.Virtio.Queue;
using Lamina.Virtio.Tests.Fakes;

namespace Lamina.Virtio.Tests.Queue;

/// <summary>A driver and a device that work at the same time, on a thread each: a driver that keeps to the rules never breaks its ring.</summary>
public sealed class QueueConcurrencyTests
{
    private const int Buffers = 20_000;

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void ADriverThatFillsItsRingAsSoonAsItMayNeverBreaksIt(bool packed, bool eventIndex)
    {
        using GuestRam ram = new();
        DriverQueue driver = new(ram, 8, packed, indirect: false);
        Virtqueue queue = new(ram.Memory, 256) { Size = 8, Enabled = true, Addresses = driver.Addresses };
        queue.Activate((1UL << 32) | (packed ? 1UL << 34 : 0) | (eventIndex ? 1UL << 29 : 0));
        ulong at = ram.Allocate(64);
        int taken = 0;
        bool stops = false;
        Thread device = new(() =>
        {
            DescriptorChain chain = new(ram.Memory, 4);
            while (!Volatile.Read(ref stops) && !queue.IsBroken)
            {
                while (queue.Pop(chain))
                {
                    queue.Push(chain, 1);
                    if ((++taken & 3) == 0)
                    {
                        queue.Publish();
                    }
                }

                queue.EnableNotifications();
                queue.Publish();
            }
        });
        device.Start();
        int under = 0;
        for (int given = 0, back = 0; back < Buffers && !queue.IsBroken;)
        {
            while (under < 8 && given < Buffers)
            {
                driver.Add([], [(at, 64)]);
                under++;
                given++;
            }

            while (driver.Take() is not null)
            {
                under--;
                back++;
            }
        }

        Volatile.Write(ref stops, true);
        device.Join();
        Assert.False(queue.IsBroken, $"The ring broke after {taken} buffers.");
        Assert.Equal(Buffers, taken);
    }
}
