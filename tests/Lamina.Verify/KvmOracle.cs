using Iced.Intel;
using Lamina.Interop;
using Lamina.Interop.Kvm;
using Lamina.SoftCpu.Tests.Fpu;
using Lamina.Verify.Legacy;

namespace Lamina.Verify;

/// <summary>
/// Executes a case in a virtual machine of KVM: at CPL 3, with the arena's pages at the host's addresses, breakpoints behind the instructions, and an exception's handler in CPL 0 that is a HLT,
/// which leaves the machine. What was pushed is the result, as of the guest that the translator runs. One thread.
/// </summary>
internal sealed unsafe class KvmOracle : IHostOracle, IDisposable
{
    private const ulong ReservedPages = 0xfffb_c000;
    private const byte Breakpoint = 0xcc;
    private const int Interrupted = 4;
    private const int UserLevel = 3;
    private const int LegacyMxcsr = 24;
    private const int LegacyVectors = 160;
    private const int LegacyLength = 512;
    private const int UpperHalves = 576;
    private const ulong Components = 7;
    private const ulong VectorsBit = 2;
    private const ulong UpperHalvesBit = 4;
    private const uint InitialMxcsr = 0x1f80;
    private const ulong GeneralAndSystem = 3;
    private readonly Arena _arena;
    private readonly GuestTables _tables = new();
    private readonly KvmDevice _device;
    private readonly KvmMachine _machine;
    private readonly KvmVirtualProcessor _processor;
    private readonly byte[] _state;
    private readonly bool _hasInterrupts;
    private KvmSystemRegisters _system;

    /// <exception cref="IOException">There is no KVM here, or it refuses.</exception>
    public KvmOracle(Arena arena, HostSegments host)
    {
        _arena = arena;
        try
        {
            _device = KvmDevice.Open();
            _machine = _device.CreateMachine();
            _machine.SetReservedPages(ReservedPages);
            _machine.SetMemory(0, 0, 0, GuestTables.Size, (nint)_tables.Pointer);
            _machine.SetMemory(1, 0, Arena.Code, Arena.PageSize, arena.CodeAlias);
            _machine.SetMemory(2, 0, Arena.Data, Arena.DataSize, (nint)Arena.Data);
            _machine.SetMemory(3, 0, Arena.ReadOnly, Arena.PageSize, arena.ReadOnlyAlias);
            _processor = _machine.CreateProcessor(0);
            Check(KvmRequest.SetCpuid, _processor.SetCpuid(_device.GetSupportedCpuid()));
            _state = new byte[_processor.ExtendedStateSize];
            host.Descriptors.CopyTo(_tables.Descriptors);
            SetSystem(host);
        }
        catch (SystemCallException e)
        {
            throw new IOException($"KVM is no oracle here: {e.Message}", e);
        }

        _hasInterrupts = HasInterrupts();
    }

    /// <summary>Executes; the arena's data is the instruction's.</summary>
    public void Run(TestCase test, ref CaseResult result)
    {
        Span<byte> slot = _arena.Instructions;
        test.Instruction.CopyTo(slot);
        slot[test.Length..].Fill(Breakpoint);
        result.IsElsewhere = false;
        Load(test.State);
        int status;
        do
        {
            status = _processor.Enter();
        }
        while (status == -Interrupted);
        Check(KvmRequest.Run, status);
        KvmRun* run = _processor.Run;
        long vector = GuestTables.Handler(run->Registers.Rip - 1);
        if (run->ExitReason != (uint)KvmExitReason.Halt || vector is < 0 or > 31)
        {
            // This KVM cannot execute it.
            result.IsElsewhere = true;
            _processor.SetEvents(default);
            return;
        }

        Store(ref result);
        _tables.TakeException((int)vector, run->Registers.Rsp, run->SystemRegisters.Cr2, Arena.Slot + (ulong)test.Length, null, ref result);
    }

    public void Dispose()
    {
        _processor.Dispose();
        _machine.Dispose();
        _device.Dispose();
        _tables.Dispose();
    }

    // A KVM without hardware executes no software interrupts of programs (as the manual says).
    private bool HasInterrupts()
    {
        const int initialControl = 0x37f;
        const int generalProtection = 13;
        const int errorCode = (0x20 * 8) | 2;
        TestCase test = new() { Length = 2 };
        test.Code[0] = 0xcd;
        test.Code[1] = 0x20;
        test.State.Flags = 2;
        test.State.Mxcsr = 0x1f80;
        fixed (NativeState* state = &test.State)
        {
            *(ushort*)state->X87 = initialControl;
        }

        CaseResult result = default;
        test.Instruction.CopyTo(_arena.Instructions);
        Load(test.State);
        Check(KvmRequest.Run, _processor.Enter());
        Store(ref result);
        _tables.TakeException((int)GuestTables.Handler(_processor.Run->Registers.Rip - 1), _processor.Run->Registers.Rsp, 0, 0, null, ref result);
        return result.Vector == generalProtection && result.ErrorCode == errorCode;
    }

    /// <summary>
    /// Whether an end is not the processor's. A KVM without hardware looks at what ends in #UD, #SS or #GP itself: what its emulator does not know is #UD then, what only that knows is executed,
    /// operands need no alignment, and some instructions have changed x87 registers before they fault. So it does with addresses that no program can have.
    /// </summary>
    public bool IsItsOwn(in CaseResult expected, in CaseResult actual)
    {
        return !_hasInterrupts && (IsEmulated(expected) || IsEmulated(actual));

        static bool IsEmulated(in CaseResult result) => result.Vector is 6 or 12 or 13 || result.Vector == 14 && result.Address >= Arena.FirstKernelAddress;
    }

    /// <summary>
    /// Whether this KVM has the processor execute an instruction. One without hardware has segment registers and software interrupts of its own, and its emulator executes what faults while no program could have the stack pointer.
    /// </summary>
    public bool Executes(TestCase test, in Instruction i)
    {
        const int stackPointer = 4;
        bool segments = i.Op0Register is >= Register.ES and <= Register.GS || i.Op1Register is >= Register.ES and <= Register.GS || i.Mnemonic is Mnemonic.Lss or Mnemonic.Lfs or Mnemonic.Lgs;
        return _hasInterrupts || !segments && test.State.General[stackPointer] < Arena.FirstKernelAddress && i.Mnemonic is not (Mnemonic.Int or Mnemonic.Int1 or Mnemonic.Lar or Mnemonic.Lsl or Mnemonic.Verr or Mnemonic.Verw);
    }

    private void SetSystem(HostSegments host)
    {
        const ulong enabled = 0x8005_0033;
        const ulong extensions = 0x4_0620;
        const ulong longMode = 0xd01;
        const byte busyTask = 11;
        const byte ldt = 2;
        _processor.GetSystemRegisters(out _system);
        _system.Es = Wide(host.Selectors[SegmentValues.Es], false);
        _system.Cs = Wide(host.Selectors[SegmentValues.Cs], true);
        _system.Ss = Wide(host.Selectors[SegmentValues.Ss], false);
        _system.Ds = Wide(host.Selectors[SegmentValues.Ds], false);
        _system.Fs = Wide(host.Selectors[4], false);
        _system.Gs = Wide(host.Selectors[5], false);
        _system.Tr = new KvmSegment { Base = GuestTables.High + GuestTables.TaskState, Limit = GuestTables.TaskStateLimit, Selector = 8, Type = busyTask, Present = 1 };
        _system.Ldt = new KvmSegment { Type = ldt, Unusable = 1 };
        _system.Gdt = new KvmTable { Base = GuestTables.High + GuestTables.Gdt, Limit = (ushort)((_tables.Descriptors.Length * sizeof(ulong)) - 1) };
        _system.Idt = new KvmTable { Base = GuestTables.High + GuestTables.Idt, Limit = GuestTables.IdtLimit };
        _system.Cr0 = enabled;
        _system.Cr3 = GuestTables.Root;
        _system.Cr4 = extensions;
        _system.Efer = longMode;
        _system.Cr2 = 0;
        Check(KvmRequest.SetSystemRegisters, _processor.SetSystemRegisters(_system));
        Check(KvmRequest.SetExtendedControl, _processor.SetExtendedControl(Components));

        // As KVM has them.
        _processor.GetSystemRegisters(out _system);
        _processor.Run->ValidRegisters = GeneralAndSystem;
    }

    private static KvmSegment Wide(ushort selector, bool code) => new()
    {
        Selector = selector,
        Limit = uint.MaxValue,
        Type = code ? (byte)11 : (byte)3,
        Present = 1,
        Privilege = UserLevel,
        Ordinary = 1,
        Big = code ? (byte)0 : (byte)1,
        Long = code ? (byte)1 : (byte)0,
        Granular = 1,
    };

    private void Load(in NativeState state)
    {
        KvmRun* run = _processor.Run;
        fixed (NativeState* s = &state)
        {
            ulong* g = s->General;
            run->Registers = new KvmRegisters
            {
                Rax = g[0],
                Rcx = g[1],
                Rdx = g[2],
                Rbx = g[3],
                Rsp = g[4],
                Rbp = g[5],
                Rsi = g[6],
                Rdi = g[7],
                R8 = g[8],
                R9 = g[9],
                R10 = g[10],
                R11 = g[11],
                R12 = g[12],
                R13 = g[13],
                R14 = g[14],
                R15 = g[15],
                Rip = Arena.Slot,
                Rflags = s->Flags,
            };
            Span<byte> area = _state;
            new ReadOnlySpan<byte>(s->X87, LegacyVectors).CopyTo(area);
            BitConverter.TryWriteBytes(area[LegacyMxcsr..], s->Mxcsr);
            for (int n = 0; n < 16; n++)
            {
                new ReadOnlySpan<byte>(s->Vectors + (n * 32), 16).CopyTo(area[(LegacyVectors + (n * 16))..]);
                new ReadOnlySpan<byte>(s->Vectors + (n * 32) + 16, 16).CopyTo(area[(UpperHalves + (n * 16))..]);
            }

            BitConverter.TryWriteBytes(area[LegacyLength..], Components);
        }

        Check(KvmRequest.SetExtendedState, _processor.SetExtendedState(_state));
        run->SystemRegisters = _system;
        run->DirtyRegisters = GeneralAndSystem;
    }

    // But RSP, RIP and flags, which the exception pushed.
    private void Store(ref CaseResult result)
    {
        KvmRun* run = _processor.Run;
        _processor.GetExtendedState(_state);
        KvmRegisters r = run->Registers;
        fixed (NativeState* s = &result.State)
        {
            ReadOnlySpan<ulong> general = [r.Rax, r.Rcx, r.Rdx, r.Rbx, r.Rsp, r.Rbp, r.Rsi, r.Rdi, r.R8, r.R9, r.R10, r.R11, r.R12, r.R13, r.R14, r.R15];
            general.CopyTo(new Span<ulong>(s->General, 16));
            ReadOnlySpan<byte> area = _state;
            area[..LegacyLength].CopyTo(new Span<byte>(s->X87, LegacyLength));
            s->Mxcsr = BitConverter.ToUInt32(area[LegacyMxcsr..]);
            ulong present = BitConverter.ToUInt64(area[LegacyLength..]);
            bool hasUpper = (present & UpperHalvesBit) != 0;
            if ((present & VectorsBit) == 0)
            {
                // As the processor found it at its start (Intel SDM volume 1, section 13.6), whatever is there.
                s->Mxcsr = InitialMxcsr;
            }

            for (int n = 0; n < 16; n++)
            {
                area.Slice(LegacyVectors + (n * 16), 16).CopyTo(new Span<byte>(s->Vectors + (n * 32), 16));
                Span<byte> upper = new(s->Vectors + (n * 32) + 16, 16);
                upper.Clear();
                if (hasUpper)
                {
                    area.Slice(UpperHalves + (n * 16), 16).CopyTo(upper);
                }
            }
        }

        result.Segments[SegmentValues.Es] = Selector(run->SystemRegisters.Es);
        result.Segments[SegmentValues.Ds] = Selector(run->SystemRegisters.Ds);
        result.Segments[4] = Selector(run->SystemRegisters.Fs);
        result.Segments[5] = Selector(run->SystemRegisters.Gs);
    }

    private static SegmentValue Selector(in KvmSegment segment) => new(segment.Selector, 0, 0, 0);

    private static void Check(uint request, int status)
    {
        if (status < 0)
        {
            throw new SystemCallException(KvmRequest.GetName(request), -status);
        }
    }
}
