using Lamina.Machine.Personalities;
using Lamina.Personalities.HyperV;
using Lamina.Personalities.Tests.Fakes;

namespace Lamina.Personalities.Tests.HyperV;

/// <summary>The hypervisor's interface, as the Top-Level Functional Specification says.</summary>
public sealed class HyperVPersonalityTests : IDisposable
{
    private const ulong Page = GuestRam.Start + 0x1000;
    private readonly TestHost _host = new();
    private readonly RecordingRequests _requests = new();
    private readonly HyperVPersonality _hypervisor;

    public HyperVPersonalityTests()
    {
        _hypervisor = new HyperVPersonality(_host.CreateSettings(tscFrequency: 2_000_000_000) with { Requests = _requests });
        _hypervisor.Start();
    }

    public void Dispose() => _host.Dispose();

    [Fact]
    public void TheLeavesAreThoseOfAChildPartition()
    {
        Assert.Equal((0x4000_0006u, 0x7263_694du, 0x666f_736fu, 0x7648_2074u), (_hypervisor.Leaves[0].Eax, _hypervisor.Leaves[0].Ebx, _hypervisor.Leaves[0].Ecx, _hypervisor.Leaves[0].Edx));
        Assert.Equal(0x3123_7648u, _hypervisor.Leaves[1].Eax);
        Assert.Equal((0x8afeu, 0x12_0030u), (_hypervisor.Leaves[3].Eax, _hypervisor.Leaves[3].Ebx));
    }

    [Fact]
    public void TheHypercallPageIsThereAfterTheSystemHasSaidWhatItIs()
    {
        Assert.True(Write(HyperVMsr.Hypercall, Page | 1));
        Assert.Equal(0UL, Read(HyperVMsr.Hypercall));
        Assert.False(_hypervisor.TryHypercall(new GuestCall(0, new ulong[16], 0, is64Bit: true)));
        EnableHypercalls();
        Assert.Equal("E6EA90C3", Convert.ToHexString(_host.Ram.Get(Page, 4)));
        Assert.Equal(0u, Call(0x0008));
        Assert.False(_hypervisor.TryHypercall(new GuestCall(0, new ulong[16], 3, is64Bit: true)));
        Assert.True(Write(HyperVMsr.GuestOsId, 0));
        Assert.False(_hypervisor.TryHypercall(new GuestCall(0, new ulong[16], 0, is64Bit: true)));
    }

    [Fact]
    public void TimeIsTheMachinesByRegisterAndByPage()
    {
        _host.Clock.Advance(1_000_000);
        Assert.Equal(10_000UL, Read(HyperVMsr.TimeReferenceCount));
        Assert.Equal((2_000_000_000UL, 1_000_000_000UL), (Read(HyperVMsr.TscFrequency), Read(HyperVMsr.ApicFrequency)));
        Assert.True(_hypervisor.TryWriteMsr(0, 2_000_000, HyperVMsr.ReferenceTsc, Page | 1));
        Assert.NotEqual(0u, _host.Ram.Get<uint>(Page));
        Assert.InRange(Compute(2_000_000), 9_999UL, 10_000UL);
        Assert.InRange(Compute(2_000_000 + 2_000_000_000), 10_009_999UL, 10_010_000UL);

        // The host was elsewhere between the readings of counter and clock.
        Assert.True(_hypervisor.TryWriteMsr(0, 1_000_000, HyperVMsr.ReferenceTsc, Page | 1));
        Assert.InRange(Compute(2_000_000), 9_999UL, 10_000UL);
        uint sequence = _host.Ram.Get<uint>(Page);
        _hypervisor.OnTimeStampSet(0, 0);
        Assert.NotEqual(sequence, _host.Ram.Get<uint>(Page));
        Assert.InRange(Compute(0), 9_999UL, 10_001UL);

        ulong Compute(ulong timeStamp) => (ulong)(((UInt128)timeStamp * _host.Ram.Get<ulong>(Page + 8)) >> 64) + _host.Ram.Get<ulong>(Page + 16);
    }

    [Fact]
    public void APageThatWasMadeWithVmcallIsMadeAnewWhenTheMachineIsRestored()
    {
        EnableHypercalls();
        StateBag state = new();
        _hypervisor.Save(state);

        // A processor may be behind the instruction: the return is where it was.
        Assert.True(_host.Ram.Memory.TryWrite(Page, [0x0f, 0x01, 0xc1, 0xc3]));
        HyperVPersonality after = new(_host.CreateSettings(tscFrequency: 2_000_000_000));
        Assert.True(after.Restore(state.Without(6)));
        Assert.Equal("E6EA90C3", Convert.ToHexString(_host.Ram.Get(Page, 4)));
    }

    [Fact]
    public void WhereCountersDriftAllTimesGoByThem()
    {
        const long Second = 2_000_000_000;
        _host.Clock.Advance(1_000_000_000);

        // The counter is three seconds ahead: that is where it was set, and goes into the page.
        _hypervisor.OnLead(0, 3 * Second);
        Assert.True(Write(HyperVMsr.ReferenceTsc, Page | 1));
        uint sequence = _host.Ram.Get<uint>(Page);
        Assert.InRange(Compute(4 * Second), 9_999_999UL, 10_000_000UL);
        Assert.Equal(Compute(4 * Second), ReadAt(4 * Second));

        // It gains 100 us: the page stays, and the register and a timer go by it.
        _hypervisor.OnLead(1, (3 * Second) + (Second / 10_000));
        Assert.Equal(sequence, _host.Ram.Get<uint>(Page));
        Assert.Equal(10_001_000UL, Read(HyperVMsr.TimeReferenceCount));
        EnableInterrupts(processor: 0);
        Assert.True(Write(HyperVMsr.FirstTimer, 8 | (0x60 << 4) | (1 << 12)));
        Assert.True(Write(HyperVMsr.FirstTimer + 1, 10_011_000));
        _host.Clock.Advance(999_999);
        Assert.Empty(_host.Messages.Sent);
        _host.Clock.Advance(1);
        Assert.Single(_host.Messages.Sent);

        // Nobody finds the time going back, though it loses a little.
        ulong before = Read(HyperVMsr.TimeReferenceCount);
        _hypervisor.OnLead(0, 3 * Second);
        Assert.True(Read(HyperVMsr.TimeReferenceCount) >= before);

        // A jump of another processor's counter is that one's own; the first one's moves the page.
        _hypervisor.OnLead(1, 9 * Second);
        Assert.Equal(sequence, _host.Ram.Get<uint>(Page));
        _hypervisor.OnLead(0, 9 * Second);
        Assert.NotEqual(sequence, _host.Ram.Get<uint>(Page));
        Assert.InRange(Compute((10 * Second) + (Second / 1000)), 10_009_999UL, 10_010_001UL);

        ulong ReadAt(long timeStamp)
        {
            Assert.True(_hypervisor.TryReadMsr(0, (ulong)timeStamp, HyperVMsr.TimeReferenceCount, out ulong value));
            return value;
        }

        ulong Compute(long timeStamp) => (ulong)(((UInt128)timeStamp * _host.Ram.Get<ulong>(Page + 8)) >> 64) + _host.Ram.Get<ulong>(Page + 16);
    }

    [Fact]
    public void TheDriftIsSavedAndNoneThatIsImpossibleIsTaken()
    {
        _host.Clock.Advance(1_000_000_000);
        _hypervisor.OnLead(0, 2_000_000);
        StateBag state = new();
        _hypervisor.Save(state);
        HyperVPersonality after = new(_host.CreateSettings(tscFrequency: 2_000_000_000));
        Assert.True(after.Restore(state));
        Assert.True(after.TryReadMsr(0, 0, HyperVMsr.TimeReferenceCount, out ulong time));
        Assert.Equal(10_010_000UL, time);
        foreach (ulong impossible in new[] { ulong.MaxValue / 2, unchecked((ulong)long.MinValue), unchecked((ulong)-3_000_000_000L) })
        {
            state.Integers[6] = impossible;
            Assert.False(after.Restore(state));
        }
    }

    [Fact]
    public void AMessageWaitsForItsPlace()
    {
        EnableInterrupts(processor: 1);
        Assert.True(_hypervisor.TryPost(1, 2, 7, [1, 2, 3]));
        Assert.Equal((0xfee0_1000UL, 0x45u), Assert.Single(_host.Messages.Sent));
        Assert.Equal("07000000030000000000000000000000010203", Convert.ToHexString(_host.Ram.Get(Page + 512, 19)));
        Assert.False(_hypervisor.TryPost(1, 2, 8, [4]));
        Assert.Equal(1, _host.Ram.Get<byte>(Page + 512 + 5));
        _host.Ram.Set(Page + 512, 0u);
        Assert.True(_hypervisor.TryPost(1, 2, 8, [4]));
        Assert.Equal(2, _host.Messages.Sent.Count);
    }

    [Fact]
    public void AnEventInterruptsOnceUntilItsFlagIsCleared()
    {
        EnableInterrupts(processor: 0);
        _hypervisor.Signal(0, 2, 37);
        _hypervisor.Signal(0, 2, 37);
        Assert.Single(_host.Messages.Sent);
        Assert.Equal(1u << 5, _host.Ram.Get<uint>(Page + 0x1000 + 512 + 4));
        _host.Ram.Set(Page + 0x1000 + 512 + 4, 0u);
        _hypervisor.Signal(0, 2, 37);
        Assert.Equal(2, _host.Messages.Sent.Count);
        Assert.True(Write(HyperVMsr.FirstSint + 2, 0x45 | (1UL << 16)));
        _hypervisor.Signal(0, 2, 38);
        Assert.Equal(2, _host.Messages.Sent.Count);
    }

    [Fact]
    public void TimersSendInterruptsOrMessages()
    {
        EnableInterrupts(processor: 0);

        // One shot, direct, enabled by its count.
        Assert.True(Write(HyperVMsr.FirstTimer, 8 | (0x60 << 4) | (1 << 12)));
        Assert.True(Write(HyperVMsr.FirstTimer + 1, 1_000));
        _host.Clock.Advance(99_000);
        Assert.Empty(_host.Messages.Sent);
        _host.Clock.Advance(1_000);
        Assert.Equal((0xfee0_0000UL, 0x60u), Assert.Single(_host.Messages.Sent));
        Assert.Equal(0UL, Read(HyperVMsr.FirstTimer) & 1);

        // Periodic, with messages to source 2.
        Assert.True(Write(HyperVMsr.FirstTimer + 3, 10_000));
        Assert.True(Write(HyperVMsr.FirstTimer + 2, 1 | 2 | (2UL << 16)));
        _host.Clock.Advance(1_000_000);
        Assert.Equal((0x8000_0010u, 1u), (_host.Ram.Get<uint>(Page + 512), _host.Ram.Get<uint>(Page + 512 + 16)));
        _host.Clock.Advance(1_000_000);
        _host.Ram.Set(Page + 512, 0u);
        int before = _host.Messages.Sent.Count;
        Assert.True(Write(HyperVMsr.EndOfMessage, 0));
        Assert.Equal(before + 1, _host.Messages.Sent.Count);
        Assert.False(Write(HyperVMsr.FirstTimer, 1UL << 40));
        _hypervisor.Stop();
        Assert.Equal(0, _host.Clock.Armed);
    }

    [Theory]
    [InlineData(ulong.MaxValue)]
    [InlineData(ulong.MaxValue - 500)]
    [InlineData(ulong.MaxValue / 2)]
    public void APeriodWithoutEndNeverEnds(ulong period)
    {
        _host.Clock.Advance(1_000_000);
        Assert.True(Write(HyperVMsr.FirstTimer + 1, period));
        Assert.True(Write(HyperVMsr.FirstTimer, 1 | 2 | (0x60 << 4) | (1 << 12)));
        for (int i = 0; i < 10; i++)
        {
            _host.Clock.Advance(1_000_000);
        }

        Assert.Empty(_host.Messages.Sent);
        Assert.Equal(1UL, Read(HyperVMsr.FirstTimer) & 1);
    }

    [Fact]
    public void InterruptsGoToProcessorsByHypercall()
    {
        EnableHypercalls();
        Assert.Equal(0u, Call(0x1_000b, 0x50, 0b11));
        Assert.Equal([(0xfee0_0000UL, 0x50u), (0xfee0_1000UL, 0x50u)], _host.Messages.Sent);
        _host.Ram.Set(Page + 0x800, 0x51UL);
        _host.Ram.Set(Page + 0x808, 0b10UL);
        Assert.Equal(0u, Call(0x000b, Page + 0x800));
        Assert.Equal((0xfee0_1000UL, 0x51u), _host.Messages.Sent[^1]);
    }

    [Fact]
    public void InterruptsGoToSetsOfProcessors()
    {
        EnableHypercalls();
        byte[] input = new byte[32];
        (input[0], input[16], input[24]) = (0x52, 1, 0b10);
        _host.Ram.Memory.TryWrite(Page + 0x800, input);
        Assert.Equal(0u, Call(0x0015 | (1 << 17), Page + 0x800));
        Assert.Equal([(0xfee0_1000UL, 0x52u)], _host.Messages.Sent);
        Assert.Equal(5u, Call(0x0015, Page + 0x800));
        Assert.Equal(5u, Call(0x0015 | (2 << 17), Page + 0x800));
        input[16] = 2;
        _host.Ram.Memory.TryWrite(Page + 0x800, input);
        Assert.Equal(0u, Call(0x0015 | (1 << 17), Page + 0x800));
        Assert.Single(_host.Messages.Sent);
        input[8] = 1;
        _host.Ram.Memory.TryWrite(Page + 0x800, input);
        Assert.Equal(0u, Call(0x0015, Page + 0x800));
        Assert.Equal(3, _host.Messages.Sent.Count);
        input[8] = 2;
        _host.Ram.Memory.TryWrite(Page + 0x800, input);
        Assert.Equal(5u, Call(0x0015, Page + 0x800));
        Assert.Equal(4u, Call(0x0015, 0xdead_0000));
    }

    [Fact]
    public void SourcesMayEndTheirInterruptsThemselves()
    {
        DirectController controller = new();
        _hypervisor.Connect(0, new RecordingSignals(), controller);
        Assert.True(Write(HyperVMsr.FirstSint + 3, 0xf2 | (1 << 17)));
        Assert.True(Write(HyperVMsr.FirstSint + 2, 0xf1));
        Assert.Equal([0xf2], controller.Direct);
        Assert.True(Write(HyperVMsr.FirstSint + 3, 0xf2 | (1 << 16) | (1 << 17)));
        Assert.Empty(controller.Direct);
        Assert.True(Write(HyperVMsr.FirstSint + 3, 0xf3 | (1 << 17)));
        _hypervisor.Reset();
        Assert.Empty(controller.Direct);
    }

    [Fact]
    public void TheLocalApicIsReachedByRegisters()
    {
        TestController controller = new();
        _hypervisor.Connect(0, new RecordingSignals(), controller);
        Assert.True(Write(HyperVMsr.EndOfInterrupt, 0));
        Assert.True(Write(HyperVMsr.InterruptCommand, (1UL << 56) | 0x40fd));
        Assert.Equal([(0xb0UL, 0u), (0x310UL, 0x0100_0000u), (0x300UL, 0x40fdu)], controller.Written);
        Assert.True(Write(HyperVMsr.TaskPriority, 0x50));
        Assert.Equal((5, 0x50UL), (controller.TaskPriorityClass, Read(HyperVMsr.TaskPriority)));
        Assert.False(Write(HyperVMsr.TaskPriority, 0x100));
        Assert.Equal((1UL << 56) | 0x40fd, Read(HyperVMsr.InterruptCommand));

        // Priorities within a class are told from each other.
        Assert.True(Write(HyperVMsr.TaskPriority, 0x53));
        Assert.Equal((5, 0x53UL), (controller.TaskPriorityClass, Read(HyperVMsr.TaskPriority)));
        Assert.Equal((0x80UL, 0x53u), controller.Written[^1]);
    }

    [Fact]
    public void TheLocalApicIsReachedByRegistersInItsOtherModeToo()
    {
        TestController controller = new() { Registers = [] };
        _hypervisor.Connect(0, new RecordingSignals(), controller);
        Assert.True(Write(HyperVMsr.EndOfInterrupt, 0));
        Assert.True(Write(HyperVMsr.InterruptCommand, (3UL << 56) | 0x40fd));
        Assert.True(Write(HyperVMsr.TaskPriority, 0x53));
        Assert.Equal([(0x80bu, 0UL), (0x830u, (3UL << 32) | 0x40fd), (0x808u, 0x53UL)], controller.Registers!.Select(static r => (r.Key, r.Value)));
        Assert.Equal(((3UL << 56) | 0x40fd, 0x53UL), (Read(HyperVMsr.InterruptCommand), Read(HyperVMsr.TaskPriority)));
        Assert.Empty(controller.Written);
    }

    [Fact]
    public void ResetsAndCrashesReachTheMachine()
    {
        Assert.True(Write(HyperVMsr.CrashFirst, 42));
        Assert.Equal(42UL, Read(HyperVMsr.CrashFirst));
        Assert.True(Write(HyperVMsr.CrashControl, 1UL << 63));
        Assert.True(Write(HyperVMsr.Reset, 1));
        Assert.Equal(["crash", "reset"], _requests.Asked);
    }

    [Fact]
    public void WhatAGuestGetsWrongIsAStatusOrAFault()
    {
        EnableHypercalls();
        Assert.Equal(2u, Call(0x7777));
        Assert.Equal(3u, Call(0x1_000b | (1UL << 32)));
        Assert.Equal(3u, Call(0x1_000b | (1UL << 17)));
        Assert.Equal(3u, Call(0x1_000b | (1UL << 60)));
        Assert.Equal(6u, Call(0x0040));
        Assert.Equal(4u, Call(0x000b, Page + 0xff8));
        Assert.Equal(3u, Call(0x1_005c));
        Assert.Equal(5u, Call(0x1_000b, 15, 1));
        Assert.Equal(5u, Call(0x1_000b, 256, 1));
        Assert.Equal(4u, Call(0x000b, ulong.MaxValue & ~7UL));
        Assert.Equal(4u, Call(0x005c, 0xdead_0000));
        Assert.Equal(4u, Call(0x005c, Page + 1));
        Assert.Equal(18u, Call(0x1_005d, 99));
        Assert.False(Write(HyperVMsr.FirstSint, 5));
        Assert.False(Write(0x4000_00f0, 0));
        Assert.False(_hypervisor.TryReadMsr(0, 0, 0x4000_0200, out _));
        Assert.False(Write(HyperVMsr.VpIndex, 1));
        foreach (uint msr in new[] { HyperVMsr.EventFlagsPage, HyperVMsr.MessagePage, HyperVMsr.VpAssistPage, HyperVMsr.ReferenceTsc, HyperVMsr.Hypercall })
        {
            Assert.True(Write(msr, ulong.MaxValue));
        }

        Write(HyperVMsr.SControl, 1);
        _hypervisor.Signal(0, 2, 5);
        _hypervisor.Signal(0, 2, 99_999);
        Assert.True(_hypervisor.TryPost(0, 2, 1, [1]));
        Assert.Empty(_host.Messages.Sent);
    }

    [Fact]
    public void ItsStateIsTheSameAfterSaveAndRestore()
    {
        EnableHypercalls();
        EnableInterrupts(processor: 1);
        Write(HyperVMsr.FirstTimer, 8 | (0x60 << 4) | (1 << 12));
        Write(HyperVMsr.FirstTimer + 1, 1_000);
        StateBag state = new();
        _hypervisor.Save(state);
        HyperVPersonality after = new(_host.CreateSettings(tscFrequency: 2_000_000_000));
        Assert.True(after.Restore(state));
        StateBag again = new();
        after.Save(again);
        Assert.Equal(state.Describe(), again.Describe());
        state.Integers[40] = 1UL << 50;
        Assert.False(after.Restore(state));
    }

    private void EnableHypercalls()
    {
        Assert.True(Write(HyperVMsr.GuestOsId, 0x8100_0000_0000_0000));
        Assert.True(Write(HyperVMsr.Hypercall, Page | 1));
    }

    private void EnableInterrupts(int processor)
    {
        Assert.True(_hypervisor.TryWriteMsr(processor, 0, HyperVMsr.MessagePage, Page | 1));
        Assert.True(_hypervisor.TryWriteMsr(processor, 0, HyperVMsr.EventFlagsPage, (Page + 0x1000) | 1));
        Assert.True(_hypervisor.TryWriteMsr(processor, 0, HyperVMsr.FirstSint + 2, 0x45));
        Assert.True(_hypervisor.TryWriteMsr(processor, 0, HyperVMsr.SControl, 1));
    }

    private uint Call(ulong control, ulong first = 0, ulong second = 0)
    {
        ulong[] registers = new ulong[16];
        (registers[GuestCall.Rcx], registers[GuestCall.Rdx], registers[GuestCall.R8]) = (control, first, second);
        Assert.True(_hypervisor.TryHypercall(new GuestCall(0, registers, 0, is64Bit: true)));
        return (uint)registers[GuestCall.Rax];
    }

    private bool Write(uint index, ulong value) => _hypervisor.TryWriteMsr(0, 0, index, value);

    private ulong Read(uint index)
    {
        Assert.True(_hypervisor.TryReadMsr(0, 0, index, out ulong value));
        return value;
    }
}
