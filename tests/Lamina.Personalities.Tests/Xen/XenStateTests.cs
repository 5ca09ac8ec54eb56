using System.Buffers.Binary;
using Lamina.Personalities.Tests.Fakes;
using Lamina.Personalities.Xen;

namespace Lamina.Personalities.Tests.Xen;

/// <summary>What the hypervisor knows of its guest, in a machine that is saved at work and goes on in another.</summary>
public sealed class XenStateTests
{
    private const ulong Other = GuestRam.Start + 0x2000;
    private const ulong Control = GuestRam.Start + 0x3000;
    private const ulong Words = GuestRam.Start + 0x4000;
    private const ulong Nowhere = 0x27fe_0000;

    [Fact]
    public void TimersThatRunAndProcessorsThatWaitGoOn()
    {
        const ulong Limit = 9_000_000;
        using XenGuest before = new XenGuest().SetUp();
        Assert.Equal(0, before.Event(1, 0, 0, 0));
        Assert.Equal(0, before.Event(7, 1, 0));
        uint port = before.Ram.Get<uint>(XenGuest.Argument + 4);
        Assert.Equal(0, before.Processor(8, 0, 5_000_000, 0));
        Assert.Equal(0, before.Processor(6, 1, 2_000_000));
        before.Ram.Set(Other, port);
        byte[] poll = new byte[24];
        BinaryPrimitives.WriteUInt64LittleEndian(poll, Other);
        poll[8] = 1;
        BinaryPrimitives.WriteUInt64LittleEndian(poll.AsSpan(16), Limit);
        before.Operate(Hypercall.SchedOp, 3, poll);
        Assert.True(before.Halts, "Nothing is pending, and nobody waits.");
        before.Host.Clock.Advance(1_000_000);
        Assert.Empty(before.Interrupts);
        using XenGuest guest = before.GoOn();
        guest.Host.Clock.Advance(3_999_999);
        Assert.Empty(guest.Interrupts);
        guest.Host.Clock.Advance(1);
        Assert.Equal([(0xfee0_0000UL, 0xf3u)], guest.Interrupts);

        // The other waits for its channel still, or until its time is over.
        Assert.Equal(0, guest.Signals[0].Kicks);
        guest.Host.Clock.Advance(Limit - 5_000_000);
        Assert.Equal(1, guest.Signals[0].Kicks);
        guest.Operate(Hypercall.SchedOp, 3, poll);
        Assert.False(guest.Halts, "Its time is over.");
        BinaryPrimitives.WriteUInt64LittleEndian(poll.AsSpan(16), 2 * Limit);
        guest.Operate(Hypercall.SchedOp, 3, poll);
        using XenGuest last = guest.GoOn();
        Assert.Equal(0, last.Event(4, port));
        Assert.Equal(1, last.Signals[0].Kicks);

        // The periodic timer's channel is not bound on that processor; when it is, it comes at its time.
        Assert.Equal(0, last.Event(1, 0, 1, 0));
        int interrupts = last.Interrupts.Count;
        last.Ram.Set(XenGuest.Shared + 64, 0UL);
        last.Ram.Set(XenGuest.Shared + 64 + 8, 0UL);
        last.Host.Clock.Advance(2_000_000);
        Assert.Equal((0xfee0_1000UL, 0xf3u), last.Interrupts[^1]);
        Assert.Equal(interrupts + 1, last.Interrupts.Count);
    }

    [Fact]
    public void QueuesThatAreNotEmptyAreAddedTo()
    {
        using XenGuest before = new XenGuest().SetUp();
        uint[] ports = UseQueues(before, 4);
        before.Event(13, ports[3], 3);
        before.Event(4, ports[0]);
        before.Event(4, ports[1]);
        Assert.Single(before.Interrupts);
        using XenGuest guest = before.GoOn();
        guest.Event(4, ports[2]);
        Assert.Equal(0xa000_0000u | ports[2], guest.Ram.Get<uint>(Words + (ports[1] * 4)));
        Assert.Equal(ports[0], guest.Ram.Get<uint>(Control + 8 + 28));
        Assert.Empty(guest.Interrupts);
        guest.Event(4, ports[3]);
        Assert.Equal(ports[3], guest.Ram.Get<uint>(Control + 8 + 12));

        // What was closed leaves its queue when it is taken for something else.
        guest.Event(3, ports[2]);
        using XenGuest last = guest.GoOn();
        Assert.Equal(0, last.Event(7, 1, 0));
        Assert.Equal(ports[2], last.Ram.Get<uint>(XenGuest.Argument + 4));
    }

    [Fact]
    public void GrantFramesHoldWhatTheyHeldWhereverTheyAre()
    {
        using XenGuest before = new XenGuest().SetUp().AddPlatform();
        Assert.Equal(0, before.AddToPhysmap(1, 0, Nowhere));
        Assert.Equal(0, before.AddToPhysmap(1, 1, Other));
        Assert.Equal(0, before.AddToPhysmap(1, 2, Nowhere - 0x1000));
        Assert.Equal(0, before.AddToPhysmap(1, 2, Nowhere + 0x5000));
        byte[] grant = [1, 0, 0, 0, 0x01, 0x01, 0, 0];
        Assert.True(before.Ram.Memory.TryWrite(Nowhere + 40, grant));
        Assert.True(before.Ram.Memory.TryWrite(Other + 16, grant));
        Assert.True(before.Ram.Memory.TryWrite(Nowhere - 8, 0x1234_5678UL));

        // The shared page may lie there as well.
        Assert.Equal(0, before.AddToPhysmap(0, 0, Nowhere + 0x5000));
        using XenGuest guest = before.GoOn();
        var grants = guest.Personality.Domain.Grants;
        Assert.Equal((3u, Nowhere, Other, Nowhere + 0x5000), (grants.FrameCount, grants.GetPlace(0), grants.GetPlace(1), grants.GetPlace(2)));
        Assert.True(grants.TryGet(5, write: true, out ulong address, out _), "The grant was there.");
        Assert.Equal(0x10_1000UL, address);
        Assert.True(grants.TryGet(512 + 2, write: true, out _, out _), "The grant was there.");
        Assert.True(guest.Ram.Memory.TryRead(Nowhere - 8, out ulong value), "A page that was memory stays that.");
        Assert.Equal(0x1234_5678UL, value);
        Assert.False(guest.Ram.Memory.TryRead(Nowhere + 0x1000, out value));
        Assert.Equal(0, guest.AddToPhysmap(1, 0, Nowhere - 0x1000));
        Assert.True(grants.TryGet(5, write: true, out _, out _), "The frame moves with its grants.");
    }

    [Fact]
    public void PlacesVectorsClocksAndCountsAreAsTheyWere()
    {
        const ulong Information = Other + 0x40;
        const ulong Area = Other + 0x100;
        const ulong State = Other + 4096 - 20;
        using XenGuest before = XenGuest.CreateDirect();
        Assert.Equal(0, before.AddToPhysmap(0, 0, XenGuest.Shared));
        byte[] parameter = new byte[16];
        BinaryPrimitives.WriteUInt16LittleEndian(parameter, DomainId.Self);
        (parameter[8], parameter[15]) = (0x31, 2);
        Assert.Equal(0, before.Operate(Hypercall.HvmOp, 0, parameter));
        Assert.Equal(0, before.Operate(Hypercall.HvmOp, 23, 1, 0, 0, 0, 0xf3, 0, 0, 0));
        Assert.Equal(0, before.Processor(10, 0, Information / 4096, 0x40));
        Assert.Equal(0, before.Processor(13, 0, Area));
        Assert.Equal(0, before.Processor(5, 0, State));
        Assert.Equal(0, before.Call((uint)Hypercall.VmAssist, 0, 5));
        before.Personality.OnTimeStampSet(0, 77);
        before.Host.Stolen = 30_000_000;
        before.Host.Clock.Advance(250_000_000);
        using XenGuest guest = before.GoOn();
        Assert.Equal([0x31], ((DirectController)guest.Controllers[0]).Direct);
        Assert.Empty(((DirectController)guest.Controllers[1]).Direct);
        Assert.Equal(0, guest.Operate(Hypercall.HvmOp, 1, parameter));
        Assert.Equal((2UL << 56) | 0x31, guest.Ram.Get<ulong>(XenGuest.Argument + 8));
        Assert.Equal(0, guest.Event(7, 0, 0));
        Assert.Equal(0, guest.Event(4, guest.Ram.Get<uint>(XenGuest.Argument + 4)));
        Assert.Equal([(0xfee0_0000UL, 0x31u)], guest.Interrupts);
        Assert.Equal(1, guest.Ram.Get<byte>(Information));

        // Another host takes other time; what was taken stays that.
        guest.Host.Stolen = 5_000_000;
        guest.Host.Clock.Advance(250_000_000);
        byte[] structure = guest.Ram.Get(State, RunState.Length);
        Assert.Equal((500_000_000UL, 465_000_000UL, 35_000_000UL), (BinaryPrimitives.ReadUInt64LittleEndian(structure.AsSpan(8)), BinaryPrimitives.ReadUInt64LittleEndian(structure.AsSpan(16)), BinaryPrimitives.ReadUInt64LittleEndian(structure.AsSpan(24))));
        guest.Personality.OnTimeStampSet(0, 1000);

        // It finds that it stood still, until it has seen that.
        guest.Personality.NoteStop();
        guest.Personality.OnTimeStampSet(1, 7);
        Assert.Equal((3, 3, 3), (guest.Ram.Get<byte>(Area + 29), guest.Ram.Get<byte>(Information + 32 + 29), guest.Ram.Get<byte>(XenGuest.Shared + 64 + 32 + 29)));
        guest.Ram.Set(Area + 29, (byte)1);
        Assert.Equal((1000UL, 500_000_000UL), (guest.Ram.Get<ulong>(Area + 8), guest.Ram.Get<ulong>(Area + 16)));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void ProcessorsTimesGoOnAndThoseOfBeforeWereAllSpentRunning(bool isOld)
    {
        using XenGuest before = new XenGuest().SetUp();
        Assert.Equal(0, before.Processor(5, 0, Other));
        before.Host.Clock.Advance(1_000);
        before.Personality.OnWait(0);
        before.Host.Stolen = 50;
        before.Host.Clock.Advance(300);
        using XenGuest guest = before.GoOn(without: isOld ? 32 + 18 : -1);
        guest.Host.Clock.Advance(200);
        guest.Personality.OnResume(0);
        ulong[] times = [.. Enumerable.Range(0, 4).Select(i => guest.Ram.Get<ulong>(Other + 16 + ((ulong)i * 8)))];
        Assert.Equal(1_500UL, guest.Ram.Get<ulong>(Other + 8));
        Assert.Equal(isOld ? [1_500, 0, 0, 0] : [1_000, 50, 450, 0], times);
    }

    [Fact]
    public void PagesThatWereGivenBackAreNotThere()
    {
        using XenGuest before = new XenGuest().SetUp();
        byte[] reservation = new byte[32];
        BinaryPrimitives.WriteUInt64LittleEndian(reservation, Other);
        reservation[8] = 1;
        BinaryPrimitives.WriteUInt16LittleEndian(reservation.AsSpan(24), DomainId.Self);
        before.Ram.Set(Other, Words / 4096);
        long all = before.Call((uint)Hypercall.MemoryOp, 3);
        Assert.Equal(1, before.Operate(Hypercall.MemoryOp, 1, reservation));
        using XenGuest guest = before.GoOn();
        Assert.Equal(all - 1, guest.Call((uint)Hypercall.MemoryOp, 3));
        Assert.Equal(1, guest.Operate(Hypercall.MemoryOp, 6, reservation));
        Assert.Equal(0, guest.Operate(Hypercall.MemoryOp, 6, reservation));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void AStateThatCannotBeIsRefused(bool queues)
    {
        using XenGuest guest = XenGuest.CreateDirect().SetUp().AddPlatform();
        if (queues)
        {
            foreach (uint port in UseQueues(guest, 3))
            {
                guest.Event(4, port);
            }
        }

        guest.Event(1, 0, 0, 0);
        guest.Event(6, 0x7ff0, 0);
        guest.Processor(8, 0, 5_000_000, 0);
        guest.Processor(6, 1, 2_000_000);
        guest.Processor(5, 0, Other + 4096 - 20);
        guest.Processor(10, 1, Other / 4096, 0x40);
        guest.AddToPhysmap(1, 0, Nowhere);
        guest.Ram.Memory.TryWrite(Nowhere, 0x1_0000_0001UL);
        guest.AddToPhysmap(1, 1, Other + 0x8000);
        guest.RefusesWhatCannotBe();
    }

    private static uint[] UseQueues(XenGuest guest, int count)
    {
        Assert.Equal(0, Queue(guest, 11, Control));
        Assert.Equal(0, Queue(guest, 12, Words));
        uint[] ports = new uint[count];
        for (int i = 0; i < count; i++)
        {
            Assert.Equal(0, guest.Event(7, 0, 0));
            ports[i] = guest.Ram.Get<uint>(XenGuest.Argument + 4);
        }

        return ports;
    }

    private static long Queue(XenGuest guest, uint operation, ulong address)
    {
        byte[] structure = new byte[24];
        BinaryPrimitives.WriteUInt64LittleEndian(structure, address / 4096);
        return guest.Operate(Hypercall.EventChannelOp, operation, structure);
    }
}
