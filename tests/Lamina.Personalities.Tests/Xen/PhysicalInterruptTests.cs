using System.Buffers.Binary;
using Lamina.Machine.Interrupts;
using Lamina.Personalities.Tests.Fakes;
using Lamina.Personalities.Xen;

namespace Lamina.Personalities.Tests.Xen;

/// <summary>Interrupts of devices that come by event channels (PIRQs): lines and messages.</summary>
public sealed class PhysicalInterruptTests : IDisposable
{
    private const int Serial = 4;
    private const int SystemControl = 9;
    private const int Slot = 19;
    private readonly XenGuest _guest = new XenGuest().SetUp();

    public void Dispose() => _guest.Dispose();

    [Fact]
    public void ALineThatIsMappedAndBoundIsAnEventAndNothingElse()
    {
        int pirq = Map(_guest, Serial);
        Assert.Equal(16, pirq);
        Assert.Equal(1u, Query(_guest, (uint)pirq));
        _guest.Lines.Set(Serial, true);
        Assert.Equal(1u << Serial, _guest.Lines.Seen);
        _guest.Lines.Set(Serial, false);
        uint port = Bind(_guest, (uint)pirq);
        Assert.Equal(XenError.Exists, _guest.Event(2, (uint)pirq, 0, 0));
        Assert.False(IsPending(_guest, port), "Nothing has happened since.");
        _guest.Lines.Set(Serial, true);
        Assert.True(Take(_guest, port), "The line was asserted, and there is no event.");
        Assert.Equal(0u, _guest.Lines.Seen);

        // The same level again is no edge.
        _guest.Lines.Set(Serial, true);
        Assert.False(IsPending(_guest, port), "There was no edge.");
        Assert.Equal(0, End(_guest, (uint)pirq));
        Assert.False(IsPending(_guest, port), "Lines of the ISA bus are edges.");

        // EVTCHNOP_status: it is bound to the first processor, and may be to others.
        Assert.Equal(0, _guest.Event(5, 0x7ff0, port, 0, 0, 0, 0));
        Assert.Equal((3u, 0u, (uint)pirq), (_guest.Ram.Get<uint>(XenGuest.Argument + 8), _guest.Ram.Get<uint>(XenGuest.Argument + 12), _guest.Ram.Get<uint>(XenGuest.Argument + 16)));
        Assert.Equal(0, _guest.Event(8, port, 1));

        // Whoever closes the channel has the line at the controllers again, as it is.
        Assert.Equal(0, _guest.Event(3, port));
        Assert.Equal(1u << Serial, _guest.Lines.Seen);
    }

    [Theory]
    [InlineData(Slot)]
    [InlineData(SystemControl)]
    public void ALevelThatIsStillThereComesAgain(int line)
    {
        int pirq = Map(_guest, line);
        uint port = Bind(_guest, (uint)pirq);
        _guest.Lines.Set(line, true);
        Assert.True(Take(_guest, port), "The line was asserted, and there is no event.");
        Assert.Equal(0, End(_guest, (uint)pirq));
        Assert.True(Take(_guest, port), "The line is still asserted, and there is no second event.");
        _guest.Lines.Set(line, false);
        Assert.Equal(0, End(_guest, (uint)pirq));
        Assert.False(IsPending(_guest, port), "The line is not asserted any more.");
    }

    [Fact]
    public void ALineThatIsAssertedBeforeItIsBoundIsNotLost()
    {
        int pirq = Map(_guest, Slot);
        _guest.Lines.Set(Slot, true);
        uint port = Bind(_guest, (uint)pirq);
        Assert.True(IsPending(_guest, port), "A device waits that nobody hears of.");
        Assert.Equal(0, Unmap(_guest, pirq));
        Assert.Equal(1u << Slot, _guest.Lines.Seen);
        Assert.Equal(pirq, Map(_guest, Slot));
        Assert.Equal(0u, _guest.Lines.Seen);
        _guest.Personality.Reset();
        Assert.Equal(1u << Slot, _guest.Lines.Seen);
    }

    [Fact]
    public void MessagesWithoutAVectorAreEventsAndOthersGoOn()
    {
        RecordingMessages controllers = new();
        IMessageInterruptSink messages = _guest.Personality.TakeMessages(controllers);
        int pirq = Take(_guest);
        Assert.Equal(255, pirq);
        Assert.Equal(254, Take(_guest));
        uint port = Bind(_guest, (uint)pirq);
        messages.Send(0xfee0_0000 | ((ulong)pirq << 12), 0x4300);
        Assert.True(Take(_guest, port), "The message was sent, and there is no event.");
        messages.Send(0xfee0_0000, 0x41);

        // Such a message is masked at its channel, and not in its table.
        Assert.True(messages.IgnoresMask(0xfee0_0000 | ((ulong)pirq << 12), 0x4300), "Linux does not unmask the vector.");
        Assert.False(messages.IgnoresMask(0xfee0_0000 | ((ulong)pirq << 12), 0x41), "A vector of a local APIC is masked in the table.");
        Assert.False(messages.IgnoresMask(0, 0), "A vector that was not set up is masked in the table.");

        // Numbers that there are not vanish, and one that a line has stays the line's.
        messages.Send((1UL << 40) | 0xfee0_0000 | ((ulong)pirq << 12), 0x4300);
        int line = Map(_guest, Slot);
        uint other = Bind(_guest, (uint)line);
        messages.Send(0xfee0_0000 | ((ulong)line << 12), 0x4300);
        Assert.False(IsPending(_guest, other), "A device has raised another's interrupt.");
        Assert.Equal([(0xfee0_0000UL, 0x41u)], controllers.Sent);
    }

    [Fact]
    public void WhatCannotBeIsRefused()
    {
        foreach (int interrupt in new[] { 0, 2, 24, 32, -1, int.MinValue })
        {
            Assert.Equal(XenError.InvalidArgument, Call(_guest, 13, CreateMap(interrupt, -1)));
        }

        Assert.Equal(XenError.InvalidArgument, Call(_guest, 13, CreateMap(Serial, 256)));
        Assert.Equal(XenError.InvalidArgument, Call(_guest, 13, CreateMap(Serial, -1, type: 0)));
        Assert.Equal(XenError.NoSuchProcess, Call(_guest, 13, CreateMap(Serial, -1, domain: 0)));
        Assert.Equal(0, Call(_guest, 13, CreateMap(Serial, Serial)));
        Assert.Equal(Serial, Map(_guest, Serial));
        Assert.Equal(XenError.Exists, Call(_guest, 13, CreateMap(Serial, 20)));
        Assert.Equal(XenError.Exists, Call(_guest, 13, CreateMap(Slot, Serial)));
        Assert.Equal(XenError.InvalidArgument, Unmap(_guest, 256));
        Assert.Equal(XenError.InvalidArgument, Unmap(_guest, -1));
        Assert.Equal(XenError.InvalidArgument, End(_guest, 256));
        Assert.Equal(0, End(_guest, 255));
        Assert.Equal(XenError.InvalidArgument, Call(_guest, 5, [100, 0, 0, 0, 0, 0, 0, 0]));
        Assert.Equal(XenError.InvalidArgument, Call(_guest, 5, [0, 0, 0, 0x80, 0, 0, 0, 0]));
        Assert.Equal(XenError.InvalidArgument, Call(_guest, 23, [9, 0, 0, 0, 0, 0, 0, 0]));
        Assert.Equal(XenError.InvalidArgument, _guest.Event(2, 256, 0, 0));
        Assert.Equal(XenError.NoSuchCall, Call(_guest, 17, [0, 0, 0, 0, 0, 0, 0, 0]));
        Assert.Equal(XenError.BadAddress, _guest.Call((uint)Hypercall.PhysdevOp, 13, XenGuest.Invalid));

        // All are taken some time, and given back.
        for (int i = 0; i < 240; i++)
        {
            Assert.InRange(Take(_guest), 16, 255);
        }

        Assert.Equal(XenError.NoSpace, Call(_guest, 23, new byte[8]));
        Assert.Equal(XenError.NoSpace, Call(_guest, 13, CreateMap(Slot, -1)));
        Assert.Equal(0, Unmap(_guest, 77));
        Assert.Equal(77, Map(_guest, Slot));
    }

    [Fact]
    public void ADomainWithoutEmulatedInterruptsHasNone()
    {
        using XenGuest guest = XenGuest.CreateWithoutLines();
        Assert.Equal(XenError.NoSuchCall, Call(guest, 13, CreateMap(Serial, -1)));
        Assert.Equal(XenError.NoSuchCall, Call(guest, 23, new byte[8]));
        Assert.Equal(0, guest.Operate(Hypercall.XenVersion, 6, 0, 0, 0, 0));
        Assert.Equal(0x305u, guest.Ram.Get<uint>(XenGuest.Argument + 4));
        RecordingMessages controllers = new();
        Assert.Same(controllers, guest.Personality.TakeMessages(controllers));
    }

    [Fact]
    public void WhatIsMappedAndBoundIsSaved()
    {
        int pirq = Map(_guest, Slot);
        uint port = Bind(_guest, (uint)pirq);
        int message = Take(_guest);
        uint other = Bind(_guest, (uint)message);
        Assert.Equal(Serial, Call(_guest, 13, CreateMap(Serial, 5)) + Serial);
        using XenGuest next = _guest.GoOn();
        next.Lines.Set(Slot, true);
        Assert.True(Take(next, port), "The line was asserted, and there is no event.");
        Assert.Equal(0u, next.Lines.Seen);
        next.Personality.TakeMessages(new RecordingMessages()).Send(0xfee0_0000 | ((ulong)message << 12), 0x4300);
        Assert.True(Take(next, other), "The message was sent, and there is no event.");
        Assert.Equal(5, Map(next, Serial));
        next.RefusesWhatCannotBe();
    }

    [Fact]
    public void ALineThatIsAssertedInARestoredMachineIsHeardWhereItsChannelIsBound()
    {
        int pirq = Map(_guest, Slot);
        uint port = Bind(_guest, (uint)pirq);
        Assert.Equal(0, _guest.Event(8, port, 1));
        using XenGuest next = _guest.GoOn(Slot);
        Assert.True(IsPending(next, port), "The line is asserted, and there is no event.");
        Assert.Equal((0xfee0_1000UL, 0xf3u), next.Interrupts[0]);
    }

    private static byte[] CreateMap(int interrupt, int pirq, int type = 1, ushort domain = DomainId.Self)
    {
        byte[] structure = new byte[40];
        BinaryPrimitives.WriteUInt16LittleEndian(structure, domain);
        BinaryPrimitives.WriteInt32LittleEndian(structure.AsSpan(4), type);
        BinaryPrimitives.WriteInt32LittleEndian(structure.AsSpan(8), interrupt);
        BinaryPrimitives.WriteInt32LittleEndian(structure.AsSpan(12), pirq);
        return structure;
    }

    private static long Call(XenGuest guest, uint operation, byte[] structure) => guest.Operate(Hypercall.PhysdevOp, operation, structure);

    private static int Map(XenGuest guest, int interrupt)
    {
        Assert.Equal(0, Call(guest, 13, CreateMap(interrupt, -1)));
        return guest.Ram.Get<int>(XenGuest.Argument + 12);
    }

    private static long Unmap(XenGuest guest, int pirq)
    {
        byte[] structure = new byte[8];
        BinaryPrimitives.WriteUInt16LittleEndian(structure, DomainId.Self);
        BinaryPrimitives.WriteInt32LittleEndian(structure.AsSpan(4), pirq);
        return Call(guest, 14, structure);
    }

    private static int Take(XenGuest guest)
    {
        Assert.Equal(0, Call(guest, 23, new byte[8]));
        return guest.Ram.Get<int>(XenGuest.Argument + 4);
    }

    private static long End(XenGuest guest, uint pirq) => Call(guest, 12, BitConverter.GetBytes(pirq));

    private static uint Query(XenGuest guest, uint pirq)
    {
        Assert.Equal(0, Call(guest, 5, BitConverter.GetBytes((ulong)pirq)));
        return guest.Ram.Get<uint>(XenGuest.Argument + 4);
    }

    private static uint Bind(XenGuest guest, uint pirq)
    {
        Assert.Equal(0, guest.Event(2, pirq, 1, 0));
        return guest.Ram.Get<uint>(XenGuest.Argument + 8);
    }

    private static bool IsPending(XenGuest guest, uint port) => (guest.Ram.Get<ulong>(XenGuest.Shared + 2048) & (1UL << (int)port)) != 0;

    private static bool Take(XenGuest guest, uint port)
    {
        bool pending = IsPending(guest, port);
        guest.Ram.Set(XenGuest.Shared + 2048, 0UL);
        return pending;
    }
}
