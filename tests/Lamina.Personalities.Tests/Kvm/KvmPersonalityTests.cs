using Lamina.Machine.Personalities;
using Lamina.Personalities.Kvm;
using Lamina.Personalities.Tests.Fakes;

namespace Lamina.Personalities.Tests.Kvm;

/// <summary>KVM's interface, as Linux's documentation of it says.</summary>
public sealed class KvmPersonalityTests : IDisposable
{
    private readonly TestHost _host = new();

    public void Dispose() => _host.Dispose();

    [Fact]
    public void TheLeavesHaveTheSignatureAndOnlyWhatIsThere()
    {
        KvmPersonality served = Create();
        KvmPersonality other = Create(isServed: false);
        Assert.Equal((0x4b4d_564bu, 0x564b_4d56u, 0x4du), (served.Leaves[0].Ebx, served.Leaves[0].Ecx, served.Leaves[0].Edx));
        Assert.Equal(1u << 0 | 1u << 1 | 1u << 3 | 1u << 5 | 1u << 6 | 1u << 7 | 1u << 9 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 24, served.Leaves[1].Eax);
        Assert.Equal(0u, other.Leaves[1].Eax);
        Assert.False(other.HasHypercalls);
        Assert.False(other.TryWriteMsr(0, 0, KvmMsr.SystemTimeNew, 1));
        Assert.False(other.TryReadMsr(0, 0, KvmMsr.PollControl, out _));
    }

    [Theory]
    [InlineData(1_000_000_000UL)]
    [InlineData(2_100_000_000UL)]
    [InlineData(3_333_333_333UL)]
    [InlineData(123_456_789UL)]
    [InlineData(19_200_000_000UL)]
    public void TheScaleTurnsTicksIntoNanoseconds(ulong frequency)
    {
        (uint multiplier, sbyte shift) = ParavirtualClock.GetScale(frequency);
        ulong ticks = frequency * 100;
        UInt128 shifted = shift >= 0 ? (UInt128)ticks << shift : (UInt128)ticks >> -shift;
        double seconds = (double)((shifted * multiplier) >> 32) / 1e9;
        Assert.InRange(seconds, 99.9999999, 100.0000001);
    }

    [Fact]
    public void AHostThatWasElsewhereLeavesNoProcessorsClockBehindAnothers()
    {
        const ulong Late = 400_000;
        KvmPersonality personality = Create();
        ulong first = _host.Ram.Allocate(64);
        ulong second = _host.Ram.Allocate(64);
        _host.Clock.Advance(1_000_000);
        Assert.True(personality.TryWriteMsr(0, _host.Clock.Now, KvmMsr.SystemTimeNew, first | 1));
        ulong time = _host.Clock.Now;
        _host.Clock.Advance(Late);
        Assert.True(personality.TryWriteMsr(1, time, KvmMsr.SystemTimeNew, second | 1));
        Assert.Equal((time, time), (_host.Ram.Get<ulong>(second + 8), _host.Ram.Get<ulong>(second + 16)));

        // A counter that the guest has set has nothing to do with the others.
        personality.OnTimeStampSet(1, 77);
        Assert.Equal((77UL, time + Late), (_host.Ram.Get<ulong>(second + 8), _host.Ram.Get<ulong>(second + 16)));
    }

    [Theory]
    [InlineData(KvmMsr.SystemTime)]
    [InlineData(KvmMsr.SystemTimeNew)]
    public void TheClockShowsTheMachinesTimeAndFollowsTheCounter(uint msr)
    {
        KvmPersonality personality = Create();
        ulong record = _host.Ram.Allocate(64);
        _host.Clock.Advance(5_000);
        Assert.True(personality.TryWriteMsr(1, 7_000, msr, record | 1));
        Assert.Equal((2u, 7_000UL, 5_000UL, 1), (_host.Ram.Get<uint>(record), _host.Ram.Get<ulong>(record + 8), _host.Ram.Get<ulong>(record + 16), _host.Ram.Get<byte>(record + 29)));
        _host.Clock.Advance(1_000);
        personality.OnTimeStampSet(1, 100);
        Assert.Equal((4u, 100UL, 6_000UL), (_host.Ram.Get<uint>(record), _host.Ram.Get<ulong>(record + 8), _host.Ram.Get<ulong>(record + 16)));
        Assert.True(personality.TryReadMsr(1, 0, msr, out ulong value));
        Assert.Equal(record | 1, value);
        Assert.True(personality.TryWriteMsr(1, 0, msr, 0));
        personality.OnTimeStampSet(1, 200);
        Assert.Equal(4u, _host.Ram.Get<uint>(record));
    }

    [Fact]
    public void TheWallClockIsWhenTheMachinesTimeWasZero()
    {
        KvmPersonality personality = Create();
        ulong record = _host.Ram.Allocate(16);
        _host.Clock.Advance(3_000_000_000);
        Assert.True(personality.TryWriteMsr(0, 0, KvmMsr.WallClockNew, record));
        Assert.Equal((2u, 1_700_000_000u, 0u), (_host.Ram.Get<uint>(record), _host.Ram.Get<uint>(record + 4), _host.Ram.Get<uint>(record + 8)));
    }

    [Fact]
    public void StolenTimeCountsFromWhenItWasAskedFor()
    {
        KvmPersonality personality = Create();
        ulong record = _host.Ram.Allocate(64);
        _host.Stolen = 1_000;
        personality.Start();
        Assert.True(personality.TryWriteMsr(0, 0, KvmMsr.StealTime, record | 1));
        _host.Stolen = 4_000;
        _host.Clock.Advance(1_000_000_000);
        Assert.Equal((3_000UL, 2u), (_host.Ram.Get<ulong>(record), _host.Ram.Get<uint>(record + 8)));
        Assert.False(personality.TryWriteMsr(0, 0, KvmMsr.StealTime, record | 3));
        personality.Stop();
        Assert.Equal(0, _host.Clock.Armed);
    }

    [Fact]
    public void AProcessorThatRestsIsToldOfFlushesWhenItGoesOn()
    {
        KvmPersonality personality = Create();
        ulong record = _host.Ram.Allocate(64);
        Assert.False(personality.OnEnter(1));
        Assert.True(personality.TryWriteMsr(1, 0, KvmMsr.StealTime, record | 1));
        personality.OnLeave(0);
        Assert.Equal(0, _host.Ram.Get<byte>(record + 16));
        personality.OnLeave(1);
        Assert.Equal(1, _host.Ram.Get<byte>(record + 16));
        Assert.False(personality.OnEnter(1));
        Assert.Equal(0, _host.Ram.Get<byte>(record + 16));
        personality.OnLeave(1);
        _host.Ram.Set(record + 16, (byte)3);
        Assert.True(personality.OnEnter(1));
        Assert.Equal(0, _host.Ram.Get<byte>(record + 16));
        Assert.False(personality.OnEnter(1));
    }

    [Fact]
    public void InterruptsAreEndedByAFlag()
    {
        KvmPersonality personality = Create();
        FlaggedController controller = new();
        personality.Connect(1, new RecordingSignals(), controller);
        Assert.False(controller.Flag!.TryRaise());
        ulong word = _host.Ram.Allocate(64);
        Assert.False(personality.TryWriteMsr(1, 0, KvmMsr.EndOfInterrupt, (word + 2) | 1));
        Assert.True(personality.TryWriteMsr(1, 0, KvmMsr.EndOfInterrupt, word | 1));
        Assert.True(controller.Flag.TryRaise());
        Assert.Equal(1u, _host.Ram.Get<uint>(word));
        Assert.True(controller.Flag.Lower());
        Assert.Equal(0u, _host.Ram.Get<uint>(word));
        Assert.True(controller.Flag.TryRaise());

        // It is taken down before it is elsewhere.
        controller.Settled = null;
        Assert.True(personality.TryWriteMsr(1, 0, KvmMsr.EndOfInterrupt, (word + 4) | 1));
        Assert.True(controller.Settled);
        Assert.Equal(0UL, _host.Ram.Get<ulong>(word));
        Assert.True(personality.TryWriteMsr(1, 0, KvmMsr.EndOfInterrupt, 0xdead_0001));
        Assert.False(controller.Flag.TryRaise());
        personality.Reset();
        Assert.False(controller.Flag.TryRaise());
    }

    // A guest switches its flag off when its processor has ended what was in service. What lies at address zero says nothing of it.
    [Fact]
    public void AFlagThatIsNowhereIsLookedForNowhere()
    {
        KvmPersonality before = Create();
        ulong word = _host.Ram.Allocate(64);
        Assert.True(before.TryWriteMsr(1, 0, KvmMsr.EndOfInterrupt, word | 1));
        Assert.True(before.TryWriteMsr(1, 0, KvmMsr.EndOfInterrupt, 0));
        StateBag state = new();
        before.Save(state);
        KvmPersonality after = Create();
        FlaggedController controller = new();
        after.Connect(1, new RecordingSignals(), controller);
        Assert.True(after.Restore(state));
        Assert.False(controller.Flag!.Lower(), "what the guest has ended is said not to have ended");
    }

    [Fact]
    public void HypercallsSendInterruptsAndWakeProcessors()
    {
        KvmPersonality personality = Create();
        RecordingSignals signals = new();
        personality.Connect(1, signals, new TestController());
        Assert.Equal(2UL, Call(personality, 10, 0b11, 0, 0, 0xfd));
        Assert.Equal([(0xfee0_0000UL, 0xfdu), (0xfee0_1000UL, 0xfdu)], _host.Messages.Sent);
        Assert.Equal(0UL, Call(personality, 5, 0, 1, 0, 0));
        Assert.Equal(1, signals.Kicks);
        Assert.Equal(0UL, Call(personality, 11, 1, 0, 0, 0));
    }

    [Fact]
    public void WhatAGuestGetsWrongIsAnError()
    {
        KvmPersonality personality = Create();
        Assert.Equal(0UL, Call(personality, 10, ulong.MaxValue, ulong.MaxValue, ulong.MaxValue - 20, 0xfd));
        Assert.Equal(0UL, Call(personality, 5, 0, ulong.MaxValue, 0, 0));
        Assert.Equal(unchecked((ulong)-22), Call(personality, 10, 1, 0, 0, 0x4_00fd));
        Assert.Equal(unchecked((ulong)-1000), Call(personality, 77, 0, 0, 0, 0));
        Assert.Equal(unchecked((ulong)-1), Call(personality, 10, 1, 0, 0, 0xfd, privilege: 3));
        Assert.Empty(_host.Messages.Sent);
        foreach (ulong address in new[] { 0UL, ulong.MaxValue - 2, GuestRam.Start + GuestRam.Length - 8 })
        {
            personality.Start();
            Assert.True(personality.TryWriteMsr(0, 0, KvmMsr.SystemTimeNew, address | 1));
            Assert.True(personality.TryWriteMsr(0, 0, KvmMsr.WallClockNew, address));
            Assert.True(personality.TryWriteMsr(0, 0, KvmMsr.StealTime, (address & ~63UL) | 1));
            _host.Stolen += 1000;
            _host.Clock.Advance(1_000_000_000);
        }

        Assert.False(personality.TryWriteMsr(0, 0, KvmMsr.PollControl, 2));
        Assert.False(personality.TryWriteMsr(0, 0, 0x4b56_4d02, 0));
    }

    [Fact]
    public void ItsStateIsTheSameAfterSaveAndRestore()
    {
        KvmPersonality before = Create();
        before.TryWriteMsr(0, 0, KvmMsr.SystemTimeNew, GuestRam.Start | 1);
        before.TryWriteMsr(1, 0, KvmMsr.StealTime, GuestRam.Start + 0x41);
        before.TryWriteMsr(1, 0, KvmMsr.PollControl, 0);
        before.TryWriteMsr(1, 0, KvmMsr.EndOfInterrupt, GuestRam.Start + 0x81);
        StateBag state = new();
        before.Save(state);
        KvmPersonality after = Create();
        Assert.True(after.Restore(state));
        StateBag again = new();
        after.Save(again);
        Assert.Equal(state.Describe(), again.Describe());
        state.Integers[34] = 2;
        Assert.False(Create().Restore(state));
    }

    private static ulong Call(KvmPersonality personality, ulong number, ulong a, ulong b, ulong c, ulong d, int privilege = 0)
    {
        ulong[] registers = new ulong[16];
        (registers[GuestCall.Rax], registers[GuestCall.Rbx], registers[GuestCall.Rcx], registers[GuestCall.Rdx], registers[GuestCall.Rsi]) = (number, a, b, c, d);
        Assert.True(personality.TryHypercall(new GuestCall(0, registers, privilege, is64Bit: true)));
        return registers[GuestCall.Rax];
    }

    private KvmPersonality Create(bool isServed = true) => new(_host.CreateSettings(), _host, isServed);
}
