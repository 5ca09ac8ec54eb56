using System.Buffers.Binary;
using Lamina.Machine.Processors;
using Lamina.Personalities.Xen;

namespace Lamina.Personalities.Tests.Xen;

/// <summary>Processors that a guest initializes, brings up and takes down (xen/include/public/vcpu.h and hvm/hvm_vcpu.h).</summary>
public sealed class XenProcessorTests : IDisposable
{
    private const uint Initialize = 0;
    private const uint Up = 1;
    private const uint Down = 2;
    private const uint IsUp = 3;
    private const int Registers = 8;
    private readonly XenGuest _guest = new(3);

    public void Dispose() => _guest.Dispose();

    [Fact]
    public void AProcessorIsUpFromItsStartToItsEnd()
    {
        Assert.Equal(1, Ask(IsUp, 1));
        _guest.Signals[1].WaitsForStartUp = true;
        Assert.Equal((0L, 1L), (Ask(IsUp, 1), Ask(IsUp, 0)));
        Assert.Equal(XenError.NoEntry, Ask(IsUp, 3));
    }

    [Fact]
    public void AProcessorThatGoesDownStandsStillUntilItIsBroughtUp()
    {
        // Another's, which it hears of soon; its own, behind the call.
        Assert.Equal((0L, false), (Ask(Down, 1), _guest.Halts));
        Assert.True(_guest.Signals[1].StandsStill);
        Assert.Equal((0L, true), (_guest.Call((uint)Hypercall.VcpuOp, Down, 2, processor: 2), _guest.Halts));
        Assert.Equal((0L, 0L, 1L), (Ask(IsUp, 1), Ask(IsUp, 2), Ask(IsUp, 0)));
        Assert.Equal((0L, false), (Ask(Up, 2), _guest.Halts));
        Assert.Equal((1L, 1), (Ask(IsUp, 2), _guest.Signals[2].Kicks));

        // To one that is up it means nothing.
        Assert.Equal((0L, 1), (Ask(Up, 2), _guest.Signals[2].Kicks));
        Assert.Empty(_guest.Requests.Asked);
    }

    [Fact]
    public void TheLastProcessorThatGoesDownSwitchesTheMachineOff()
    {
        _guest.Signals[1].WaitsForStartUp = true;
        Assert.Equal(0, Ask(Down, 2));
        Assert.Empty(_guest.Requests.Asked);
        Assert.Equal(0, Ask(Down, 0));
        Assert.Equal(["power off"], _guest.Requests.Asked);
        Assert.False(_guest.Signals[0].StandsStill);
    }

    [Fact]
    public void AProcessorThatWaitsBeginsInLongMode()
    {
        _guest.Signals[1].WaitsForStartUp = true;
        Assert.Equal(XenError.InvalidArgument, Ask(Up, 1));
        Assert.Equal(XenError.BadAddress, _guest.Call((uint)Hypercall.VcpuOp, Initialize, 1, XenGuest.Invalid));
        Assert.Equal(XenError.Exists, Begin(2, Create64()));
        Assert.Equal(0, Begin(1, Create64()));
        Assert.Equal((XenError.Exists, 0L), (Begin(1, Create64()), Ask(IsUp, 1)));
        Assert.Null(_guest.Signals[1].Begun);
        Assert.Equal(0, Ask(Up, 1));
        Assert.Equal((1L, XenError.Exists), (Ask(IsUp, 1), Begin(1, Create64())));
        ProcessorState state = _guest.Signals[1].Begun!;
        Assert.Equal([1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0], state.GeneralRegisters);
        Assert.Equal((0xffff_ffff_8100_0000UL, 0x202UL, 0x8005_0033UL, 0x12_3000UL, 0x6a0UL), (state.Rip, state.Rflags, state.Cr0, state.Cr3, state.Cr4));
        Assert.Equal([new MsrValue(0xc000_0080, 0xd01)], state.Msrs);
        Assert.Equal((new SegmentState(0, 0, uint.MaxValue, 0xa09b), new SegmentState(0, 0, uint.MaxValue, 0xc093), new SegmentState(0, 0, 0x67, 0x8b)), (state.Segments[1], state.Segments[2], state.TaskRegister));
        Assert.True(state.IsPossible(0), "No processor can be in this state.");

        // One that was sent INIT waits again, and may be initialized again.
        _guest.Signals[1].WaitsForStartUp = true;
        Assert.Equal(0, Begin(1, Create32()));
    }

    [Fact]
    public void AProcessorThatWaitsBeginsInProtectedMode()
    {
        _guest.Signals[1].WaitsForStartUp = true;
        Assert.Equal(0, Begin(1, Create32()));
        Assert.Equal(0, Ask(Up, 1));
        ProcessorState state = _guest.Signals[1].Begun!;
        Assert.Equal((1UL, 8UL, 0x10_0000UL, 2UL, 0x11UL), (state.GeneralRegisters[0], state.GeneralRegisters[7], state.Rip, state.Rflags, state.Cr0));
        Assert.Equal(new SegmentState(0, 0x1000, uint.MaxValue, 0xc09b), state.Segments[1]);
        Assert.Equal(new SegmentState(0, 0x2000, uint.MaxValue, 0xc093), state.Segments[3]);
        Assert.Equal(new SegmentState(0, 0x3000, uint.MaxValue, 0xc093), state.Segments[2]);
        Assert.Equal(new SegmentState(0, 0, 0, 0x1_0000), state.Segments[0]);
        Assert.Equal(new SegmentState(0, 0x5000, 0x67, 0x8b), state.TaskRegister);
        Assert.Equal([new MsrValue(0xc000_0080, 0)], state.Msrs);
        Assert.True(state.IsPossible(0), "No processor can be in this state.");
    }

    [Theory]
    [InlineData(0, 2UL)] // No such mode.
    [InlineData(0, 0x1_0000_0001UL)]
    [InlineData(Registers + 64, 0x8000_0000_0000UL)] // An address that is none.
    [InlineData(Registers + 80, 0x33UL)] // No paging,
    [InlineData(Registers + 80, 0x8000_0032UL)] // no protection,
    [InlineData(Registers + 80, 0xa000_0033UL)] // a cache that cannot be so,
    [InlineData(Registers + 80, 0x1_8000_0033UL)] // and bits that there are not.
    [InlineData(Registers + 96, 0x680UL)] // No address extension,
    [InlineData(Registers + 96, 0x26a0UL)] // and virtual machines.
    [InlineData(Registers + 104, 0xc01UL)] // No long mode.
    [InlineData(Registers + 104, 0x1d01UL)]
    [InlineData(Registers + 72, 0x2_0202UL)] // Virtual-8086 mode in it.
    public void WhatNoProcessorCanBeginWithInLongModeIsRefused(int offset, ulong value)
    {
        byte[] context = Create64();
        _guest.Signals[1].WaitsForStartUp = true;
        BinaryPrimitives.WriteUInt64LittleEndian(context.AsSpan(offset), value);
        Assert.Equal(XenError.InvalidArgument, Begin(1, context));
        Assert.Equal(XenError.InvalidArgument, Ask(Up, 1));
        Assert.Equal(0, Begin(1, Create64()));
    }

    [Theory]
    [InlineData(Registers + 52, 1)] // Room that is to be left empty.
    [InlineData(Registers + 114, 1)]
    [InlineData(Registers + 57, 4)] // Long mode active, and not enabled.
    [InlineData(Registers + 105, 0x1c)] // Attributes that there are not,
    [InlineData(Registers + 104, 0x93)] // data in CS,
    [InlineData(Registers + 108, 0x91)] // what cannot be written in SS,
    [InlineData(Registers + 108, 0xf3)] // another level than that of CS,
    [InlineData(Registers + 106, 0xf3)] // or a lower one,
    [InlineData(Registers + 106, 0x99)] // code that cannot be read in DS,
    [InlineData(Registers + 106, 0x13)] // what is not present,
    [InlineData(Registers + 112, 0x83)] // a task that is none, or none at all.
    [InlineData(Registers + 112, 0)]
    [InlineData(Registers + 50, 2)] // CR4 with contexts outside of long mode.
    public void WhatNoProcessorCanBeginWithInProtectedModeIsRefused(int offset, byte value)
    {
        byte[] context = Create32();
        _guest.Signals[1].WaitsForStartUp = true;
        context[offset] = value;
        Assert.Equal(XenError.InvalidArgument, Begin(1, context));
    }

    [Fact]
    public void AnAddressBehindItsSegmentIsRefused()
    {
        byte[] context = Create32();
        _guest.Signals[1].WaitsForStartUp = true;
        Put32(context, 84, 0xff);
        Assert.Equal(XenError.InvalidArgument, Begin(1, context));
        Put32(context, 84, 0x100);
        Assert.Equal(0, Begin(1, context));
    }

    [Fact]
    public void WhatAProcessorIsToBeginWithIsSaved()
    {
        using XenGuest before = new();
        before.Signals[1].WaitsForStartUp = true;
        Assert.True(before.Ram.Memory.TryWrite(XenGuest.Argument, Create32()));
        Assert.Equal(0, before.Call((uint)Hypercall.VcpuOp, Initialize, 1, XenGuest.Argument));
        using XenGuest guest = before.GoOn();
        guest.Signals[1].WaitsForStartUp = true;
        Assert.Equal(XenError.Exists, guest.Call((uint)Hypercall.VcpuOp, Initialize, 1, XenGuest.Argument));
        Assert.Equal(0, guest.Call((uint)Hypercall.VcpuOp, Up, 1));
        Assert.Equal(0x10_0000UL, guest.Signals[1].Begun!.Rip);
        before.Personality.Reset();
        Assert.Equal(XenError.InvalidArgument, before.Call((uint)Hypercall.VcpuOp, Up, 1));
    }

    private static byte[] Create64()
    {
        byte[] context = new byte[HvmContext.Length];
        context[0] = 1;
        ulong[] registers = [1, 2, 3, 4, 5, 6, 7, 8, 0xffff_ffff_8100_0000, 0x200, 0x8005_0033, 0x12_3000, 0x6a0, 0x901];
        for (int i = 0; i < registers.Length; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(context.AsSpan(Registers + (i * 8)), registers[i]);
        }

        return context;
    }

    private static byte[] Create32()
    {
        byte[] context = new byte[HvmContext.Length];
        uint[] registers = [1, 2, 3, 4, 5, 6, 7, 8, 0x10_0000, 0, 0x11];
        for (int i = 0; i < registers.Length; i++)
        {
            Put32(context, i * 4, registers[i]);
        }

        // CS, DS, SS, none, TR.
        (uint Base, uint Limit, ushort Attributes)[] segments = [(0x1000, uint.MaxValue, 0xc9a), (0x2000, uint.MaxValue, 0xc92), (0x3000, uint.MaxValue, 0xc92), default, (0x5000, 0x67, 0x89)];
        for (int i = 0; i < segments.Length; i++)
        {
            Put32(context, 64 + (i * 4), segments[i].Base);
            Put32(context, 84 + (i * 4), segments[i].Limit);
            BinaryPrimitives.WriteUInt16LittleEndian(context.AsSpan(Registers + 104 + (i * 2)), segments[i].Attributes);
        }

        return context;
    }

    private static void Put32(byte[] context, int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(context.AsSpan(Registers + offset), value);

    private long Ask(uint operation, int processor) => _guest.Call((uint)Hypercall.VcpuOp, operation, (ulong)processor);

    private long Begin(int processor, byte[] context)
    {
        Assert.True(_guest.Ram.Memory.TryWrite(XenGuest.Argument, context));
        return _guest.Call((uint)Hypercall.VcpuOp, Initialize, (ulong)processor, XenGuest.Argument);
    }
}
