using System.Diagnostics;
using Lamina.Interop;
using Lamina.Interop.Kvm;
using Lamina.Machine.Interrupts;

namespace Lamina.Kvm;

/// <summary>The controllers that lines end in, and the interval timer, between KVM's structures and the architectural state.</summary>
internal sealed partial class KvmInterrupts
{
    private const ulong IoApicAddress = 0xfec0_0000;
    private const uint TimerPin = 2;
    private const byte PrimaryEdgeLevel = 0xf8;
    private const byte SecondaryEdgeLevel = 0xde;
    private const byte Unprogrammed = 0xff;
    private const byte HighOfBoth = 4;

    /// <inheritdoc/>
    public void SetLegacyReplacement(bool replaced)
    {
        _machine.GetTimer(out KvmTimerState timer);
        timer.Flags = (timer.Flags & ~KvmTimerState.LegacyReplacement) | (replaced ? KvmTimerState.LegacyReplacement : 0);
        _machine.SetTimer(timer);
    }

    /// <inheritdoc/>
    public void LoadLineControllers(LineControllerState state)
    {
        _machine.SetPic(KvmChip.PrimaryPic, ToPic(state.Pics[0], PrimaryEdgeLevel));
        _machine.SetPic(KvmChip.SecondaryPic, ToPic(state.Pics[1], SecondaryEdgeLevel));
        KvmIoApicState ioApic = new() { Address = IoApicAddress, Select = state.Select, Id = state.Id };
        for (int pin = 0; pin < PinCount; pin++)
        {
            ioApic[pin] = state.Redirections[pin];
        }

        _machine.SetIoApic(ioApic);
        KvmTimerState timer = new()
        {
            Flags = (state.LegacyReplacement ? KvmTimerState.LegacyReplacement : 0) | (state.SpeakerData ? KvmTimerState.SpeakerData : 0),
        };
        for (int n = 0; n < state.Counters.Length; n++)
        {
            timer[n] = ToChannel(state.Counters[n]);
        }

        _machine.SetTimer(timer);

        // Line 0 is KVM's own timer's, unless the HPET has it.
        for (int line = state.LegacyReplacement ? 0 : 1; line < PinCount; line++)
        {
            _machine.SetLine(line, (state.Levels >> line & 1) != 0);
        }
    }

    /// <inheritdoc/>
    public void SaveLineControllers(LineControllerState state)
    {
        state.Pics[0] = FromPic(_machine.GetPic(KvmChip.PrimaryPic));
        state.Pics[1] = FromPic(_machine.GetPic(KvmChip.SecondaryPic));
        KvmIoApicState ioApic = _machine.GetIoApic();
        state.Select = (byte)ioApic.Select;
        state.Id = (byte)ioApic.Id;
        for (int pin = 0; pin < PinCount; pin++)
        {
            state.Redirections[pin] = ioApic[pin];
        }

        _machine.GetTimer(out KvmTimerState timer);
        state.SpeakerData = (timer.Flags & KvmTimerState.SpeakerData) != 0;
        state.LegacyReplacement = (timer.Flags & KvmTimerState.LegacyReplacement) != 0;
        long now = Stopwatch.GetTimestamp() * (1_000_000_000 / Stopwatch.Frequency);
        for (int n = 0; n < state.Counters.Length; n++)
        {
            state.Counters[n] = FromChannel(timer[n], now);
        }
    }

    private static KvmPicState ToPic(in PicState s, byte edgeLevelMask) => new()
    {
        Lines = s.Lines,
        Requests = s.Requests,
        Mask = s.Mask,
        InService = s.InService,
        Highest = (byte)((s.Lowest + 1) & 7),
        VectorBase = s.VectorBase,
        ReadInService = ToByte(s.ReadInService),
        Poll = ToByte(s.Poll),
        SpecialMask = ToByte(s.SpecialMask),
        Step = s.Step,
        AutomaticEnd = ToByte(s.AutomaticEnd),
        RotateAtAutomaticEnd = ToByte(s.RotateAtAutomaticEnd),
        SpecialFullyNested = ToByte(s.SpecialFullyNested),
        ExpectIcw4 = ToByte(s.ExpectIcw4),
        EdgeLevel = s.EdgeLevel,
        EdgeLevelMask = edgeLevelMask,
    };

    private static PicState FromPic(in KvmPicState s) => new()
    {
        Lines = s.Lines,
        Requests = s.Requests,
        Mask = s.Mask,
        InService = s.InService,
        Lowest = (byte)((s.Highest - 1) & 7),
        VectorBase = s.VectorBase,
        ReadInService = s.ReadInService != 0,
        Poll = s.Poll != 0,
        SpecialMask = s.SpecialMask != 0,
        Step = s.Step,
        AutomaticEnd = s.AutomaticEnd != 0,
        RotateAtAutomaticEnd = s.RotateAtAutomaticEnd != 0,
        SpecialFullyNested = s.SpecialFullyNested != 0,
        ExpectIcw4 = s.ExpectIcw4 != 0,
        EdgeLevel = s.EdgeLevel,
    };

    // KVM has no word for "mode set, no count yet": such a counter is one that nobody has programmed.
    private static KvmChannel ToChannel(in CounterState s) => new()
    {
        Count = s.Loaded ? s.Count : 0,
        LatchedCount = s.LatchedCount,
        Latched = !s.Latched ? (byte)0 : s.Access == 3 && s.ReadHigh ? (byte)2 : s.Access,
        StatusLatched = ToByte(s.StatusLatched),
        Status = s.LatchedStatus,
        ReadState = s.Access == 3 && s.ReadHigh && !s.Latched ? HighOfBoth : s.Access,
        WriteState = s.Access == 3 && s.WriteHigh ? HighOfBoth : s.Access,
        WrittenLow = s.WrittenLow,
        Access = s.Access,
        Mode = s.Loaded ? s.Mode : Unprogrammed,
        Decimal = ToByte(s.Decimal),
        Gate = ToByte(s.Gate),
    };

    private static CounterState FromChannel(in KvmChannel c, long now) => new()
    {
        Mode = c.Mode,
        Access = c.Access,
        Decimal = c.Decimal != 0,
        Gate = c.Gate != 0,
        Loaded = c.Mode <= 5,
        Count = c.Count,
        Elapsed = (ulong)Math.Max(0, now - c.LoadTime),
        WriteHigh = c.WriteState == HighOfBoth,
        WrittenLow = c.WrittenLow,
        ReadHigh = c.Latched != 0 ? c.Access == 3 && c.Latched == 2 : c.ReadState == HighOfBoth,
        Latched = c.Latched != 0,
        LatchedCount = c.LatchedCount,
        StatusLatched = c.StatusLatched != 0,
        LatchedStatus = c.Status,
    };

    private static byte ToByte(bool value) => value ? (byte)1 : (byte)0;

    // As InterruptRouter does: line 0 is input 2 of the I/O APIC, and line 2 is the cascade.
    private void RouteLines()
    {
        List<KvmRoute> routes = [];
        for (uint line = 0; line < PinCount; line++)
        {
            if (line == TimerPin)
            {
                continue;
            }

            routes.Add(KvmRoute.Pin(line, KvmChip.IoApic, line == 0 ? TimerPin : line));
            if (line < 16)
            {
                routes.Add(KvmRoute.Pin(line, line < 8 ? KvmChip.PrimaryPic : KvmChip.SecondaryPic, line & 7));
            }
        }

        if (_routes.SetAll(routes) is var error and < 0)
        {
            throw new SystemCallException(KvmRequest.GetName(KvmRequest.SetRoutes), -error);
        }
    }
}
