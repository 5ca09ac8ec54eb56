using Lamina.Chipset.Interrupts;

namespace Lamina.Chipset.Tests.Interrupts;

/// <summary>Other threads send while the processor's own thread takes interrupts.</summary>
public sealed class ApicConcurrencyTests
{
    [Fact]
    public void NoInterruptIsLostOrInvented()
    {
        const int senders = 3;
        const int rounds = 20_000;
        TestBoard board = new(1);
        board.EnableApics();
        LocalApic apic = board.Apics[0];
        int[] taken = new int[256];
        int finished = 0;
        Thread[] threads = new Thread[senders];
        for (int t = 0; t < senders; t++)
        {
            int first = 0x40 + (t * 0x30);
            threads[t] = new Thread(() =>
            {
                for (int i = 0; i < rounds; i++)
                {
                    board.Bus.Send(0xfee0_0000, (uint)(first + (i % 0x20)));
                }

                Interlocked.Increment(ref finished);
            });
            threads[t].Start();
        }

        bool last;
        do
        {
            last = Volatile.Read(ref finished) == senders;
            while (apic.TryAcknowledge(out byte vector))
            {
                taken[vector]++;
                board.Apic(0, 0xb0, 0);
            }
        }
        while (!last);
        for (int vector = 0; vector < 256; vector++)
        {
            int sender = (vector - 0x40) / 0x30;
            bool sent = vector >= 0x40 && sender < senders && (vector - 0x40) % 0x30 < 0x20;
            Assert.True(sent == taken[vector] > 0, $"Vector 0x{vector:x2} was taken {taken[vector]} times.");
            Assert.True(taken[vector] <= rounds, "An interrupt was taken more often than it was sent.");
        }

        Assert.False(apic.HasInterrupt);
        foreach (Thread thread in threads)
        {
            thread.Join();
        }
    }
}
