using System.ComponentModel;
using System.Runtime.InteropServices;
using Lamina.SoftCpu.Tests.Fpu;
using Lamina.SoftCpu.Tests.Machines;
using Lamina.Verify.Legacy;

namespace Lamina.Verify;

/// <summary>
/// Executes one instruction on this host's processor at CPL 3, with all registers given, and takes whatever it does: results, exceptions by their signals, jumps by the breakpoints and
/// unmapped pages that they end at. One thread, which gets no other signals from then on.
/// </summary>
internal sealed unsafe partial class NativeOracle : IHostOracle, IDisposable
{
    private const int InputOffset = 0x1000;
    private const int OutputOffset = 0x2000;
    private const int StackPointerOffset = 0x3000;
    private const int ActiveOffset = 0x3008;
    private const int SlotOffset = 0x3010;
    private const int MxcsrOffset = 0x3018;
    private const int SignalOffset = 0x3020;
    private const int SegmentsOffset = 0x3028;
    private const int BasesOffset = 0x3030;
    private const int SelectorsOffset = 0x3040;
    private const int OriginalsOffset = 0x3050;
    private const int FarSlotOffset = 0x3060;
    private const int OwnCodeOffset = 0x3068;
    private const int OldHandlersOffset = 0x3100;
    private const int RegistersOffset = 0x3400;
    private const int ExtendedOffset = 0x4000;
    private const int Size = 0x6000;
    private const int StackSize = 0x1_0000;
    private const int StackCount = 2;
    private const int RegisterCount = 23;
    private const int ExtendedWords = 104;
    private const int ContextRegisters = 40;
    private const int ContextExtended = 224;
    private const int StackSelector = 6;
    private const int StackPointer = 4;
    private const int LeaveLength = 5;
    private const byte Breakpoint = 0xcc;
    private const byte JumpRelative = 0xe9;
    private const int BlockAll = 2;
    private const int SignalSetSize = 128;
    private const int SignalInfo = 4;
    private const int OnStack = 0x0800_0000;
    private const int NoDefer = 0x4000_0000;
    private static readonly int[] Signals = [4, 5, 7, 8, 11];
    private static readonly int[] ContextOrder = [13, 14, 12, 11, 15, 10, 9, 8, 0, 1, 2, 3, 4, 5, 6, 7];
    private readonly LowMemory _memory = new(Size);
    private readonly Arena _arena;
    private readonly byte* _base;

    // What signals are taken on: above 4 GiB, where no stack pointer of 32 bits gets.
    private readonly byte* _stacks = (byte*)NativeMemory.AlignedAlloc(StackCount * StackSize, 4096);
    private int _stack;
    private ulong _leave;
    private ulong _enterLegacy;

    private enum Context
    {
        Rsp = 15,
        Rip = 16,
        Flags = 17,
        Selectors = 18,
        Error = 19,
        Trap = 20,
        Address = 22,
    }

    public NativeOracle(Arena arena)
    {
        _arena = arena;
        _base = _memory.Pointer;
        *(ulong*)(_base + SlotOffset) = Arena.Slot;
        *(uint*)(_base + MxcsrOffset) = 0x1f80;
        ulong handler = Write();
        byte* all = stackalloc byte[SignalSetSize];
        new Span<byte>(all, SignalSetSize).Fill(0xff);
        foreach (int signal in Signals)
        {
            all[(signal - 1) / 8] &= (byte)~(1 << ((signal - 1) & 7));
        }

        Check(SetSignalMask(BlockAll, all, null));
        UseStack(0);
        foreach (int signal in Signals)
        {
            SignalAction action = new() { Handler = (nint)handler, Flags = SignalInfo | OnStack | NoDefer };
            SignalAction old;
            Check(SetSignalAction(signal, &action, &old));
            *(nint*)(_base + OldHandlersOffset + (8 * signal)) = old.Handler;
        }
    }

    /// <summary>Executes; the arena's data is the instruction's.</summary>
    public void Run(TestCase test, ref CaseResult result)
    {
        ClearSegments();
        Span<byte> slot = _arena.Instructions;
        slot[Math.Max(test.Length, TestCase.MaximumLength)..].Fill(Breakpoint);
        test.Instruction.CopyTo(slot);
        Span<byte> leave = slot[test.Length..];
        if (test.IsSequence)
        {
            // A sequence may come to read what is behind it, where the guest has breakpoints.
            leave.Fill(Breakpoint);
        }
        else
        {
            leave[0] = JumpRelative;
            BitConverter.TryWriteBytes(leave[1..], (int)((long)_leave - (long)(Arena.Slot + (ulong)(test.Length + LeaveLength))));
            leave[LeaveLength..].Fill(Breakpoint);
        }

        *(NativeState*)(_base + InputOffset) = test.State;
        *(int*)(_base + SignalOffset) = 0;
        *(_base + SegmentsOffset) = test.LoadsSegments ? (byte)1 : (byte)0;
        result.IsElsewhere = false;
        for (int n = 0; n < SegmentValues.Count; n++)
        {
            result.Segments[n] = default;
        }

        AvoidStack(test.State.General[StackPointer]);
        ((delegate* unmanaged<void>)_base)();
        if (*(int*)(_base + SignalOffset) == 0)
        {
            result.State = *(NativeState*)(_base + OutputOffset);
            result.Vector = CaseResult.None;
            result.Rip = Arena.Slot + (ulong)test.Length;
            for (int n = 0; n < SegmentValues.Count && test.LoadsSegments; n++)
            {
                result.Segments[n] = new SegmentValue(*(ushort*)(_base + SelectorsOffset + (2 * n)), 0, 0, 0);
            }

            return;
        }

        TakeFault(Arena.Slot + (ulong)test.Length, 0, ref result);
    }

    /// <summary>Has an exception come at the bottom of the stack that signals are taken on.</summary>
    /// <exception cref="InvalidOperationException">It did not arrive.</exception>
    public void CheckStack()
    {
        const int invalidOpcode = 6;
        const ulong aboveBottom = 0x400;
        TestCase test = new() { Length = 2 };
        ((ReadOnlySpan<byte>)[0x0f, 0x0b]).CopyTo(test.Code);
        CaseResult result = default;
        fixed (NativeState* state = &test.State)
        {
            state->Flags = 2;
            state->Mxcsr = 0x1f80;
            *(ushort*)state->X87 = 0x37f;
            state->General[StackPointer] = (ulong)Stack(_stack) + aboveBottom;
        }

        Run(test, ref result);
        if (result.Vector != invalidOpcode)
        {
            throw new InvalidOperationException($"UD2 on the signals' stack is exception {result.Vector}");
        }
    }

    public void Dispose()
    {
        _memory.Dispose();
        NativeMemory.AlignedFree(_stacks);
    }

    private byte* Stack(int number) => _stacks + (number * StackSize);

    private void UseStack(int number)
    {
        _stack = number;
        SignalStack stack = new() { Pointer = (nint)Stack(number), Size = StackSize };
        Check(SetSignalStack(&stack, null));
    }

    // A case's stack pointer may be any number. In the signals' stack it says that a signal is being taken: the kernel goes on there, and ends the process if no frame fits in below (sigaltstack(2)).
    private void AvoidStack(ulong pointer)
    {
        if (pointer - (ulong)Stack(_stack) <= StackSize)
        {
            UseStack((_stack + 1) % StackCount);
        }
    }

    private void TakeFault(ulong end, uint codeBase, ref CaseResult result)
    {
        const int BreakpointTrap = 3;
        const int PageFault = 14;
        const uint Fetch = 16;
        const int ExtendedFeatures = 512;
        const int UpperHalves = 576;
        const int XmmRegisters = 160;
        ulong* registers = (ulong*)(_base + RegistersOffset);
        byte* extended = _base + ExtendedOffset;
        const ulong addressesOfLegacyCode = uint.MaxValue;
        bool hasUpper = (*(ulong*)(extended + ExtendedFeatures) & 4) != 0;
        fixed (NativeState* state = &result.State)
        {
            for (int n = 0; n < 16; n++)
            {
                state->General[n] = registers[ContextOrder[n]];
                *(UInt128*)(state->Vectors + (n * 32)) = *(UInt128*)(extended + XmmRegisters + (n * 16));
                *(UInt128*)(state->Vectors + (n * 32) + 16) = hasUpper ? *(UInt128*)(extended + UpperHalves + (n * 16)) : UInt128.Zero;
            }

            Buffer.MemoryCopy(extended, state->X87, 512, 512);
        }

        result.State.Flags = registers[(int)Context.Flags];
        result.State.Mxcsr = *(uint*)(extended + 24);
        result.Rip = registers[(int)Context.Rip];
        result.Vector = (int)registers[(int)Context.Trap];
        result.ErrorCode = (uint)registers[(int)Context.Error];
        result.Address = registers[(int)Context.Address];
        ulong linear = codeBase == 0 ? result.Rip : (result.Rip + codeBase) & addressesOfLegacyCode;
        if (result.Vector == BreakpointTrap && result.Rip != end)
        {
            // A jump into the code page.
            result.Vector = CaseResult.None;
            result.Rip--;
        }
        else if (result.Vector == PageFault && (result.ErrorCode & Fetch) != 0 && result.Address == linear)
        {
            result.Vector = CaseResult.None;
        }
        else
        {
            result.IsElsewhere = linear < Arena.FirstKernelAddress && linear - Arena.Start >= Arena.Size;
        }
    }

    private static void Check(int status)
    {
        if (status != 0)
        {
            throw new Win32Exception(status == -1 ? Marshal.GetLastPInvokeError() : status);
        }
    }

    [LibraryImport("libc", EntryPoint = "pthread_sigmask")]
    private static partial int SetSignalMask(int how, byte* set, byte* old);

    [LibraryImport("libc", EntryPoint = "sigaltstack", SetLastError = true)]
    private static partial int SetSignalStack(SignalStack* stack, SignalStack* old);

    [LibraryImport("libc", EntryPoint = "sigaction", SetLastError = true)]
    private static partial int SetSignalAction(int signal, SignalAction* action, SignalAction* old);

    [StructLayout(LayoutKind.Sequential)]
    private struct SignalStack
    {
        public nint Pointer;
        public int Flags;
        public nuint Size;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct SignalAction
    {
        public nint Handler;
        public fixed byte Mask[SignalSetSize];
        public int Flags;
        public nint Restorer;
    }
}
