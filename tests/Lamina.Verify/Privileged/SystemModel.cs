using Iced.Intel;

namespace Lamina.Verify.Privileged;

/// <summary>
/// System instructions, transfers of control between segments and privilege levels, and delivery of exceptions, as the manuals' pseudo-code has them: Intel SDM (of version 083) volumes 2 and 3, whose CPU the
/// software CPU says that it is, and AMD APM volumes 2 and 3. Nothing in it is the software CPU's. An exception of the host's language is one of the machine, so that the order of checks reads as it does there.
/// </summary>
internal sealed partial class SystemModel
{
    private const uint Carry = 1;
    private const uint Parity = 4;
    private const uint Auxiliary = 0x10;
    private const uint Zero = 0x40;
    private const uint Sign = 0x80;
    private const uint Trap = 0x100;
    private const uint Interrupt = 0x200;
    private const uint Direction = 0x400;
    private const uint Overflow = 0x800;
    private const uint IoPrivilege = 0x3000;
    private const uint NestedTask = 0x4000;
    private const uint Resume = 0x1_0000;
    private const uint Virtual8086 = 0x2_0000;
    private const uint AlignmentCheck = 0x4_0000;
    private const uint VirtualInterrupt = 0x8_0000;
    private const uint VirtualPending = 0x10_0000;
    private const uint Identification = 0x20_0000;
    private const uint Status = Carry | Parity | Auxiliary | Zero | Sign | Overflow;
    private const uint AllFlags = 0x3f_7fd7;
    private const int Sp = 4;
    private const int MostExceptions = 8;

    private readonly MachineImage _before = new();
    private readonly ulong[] _pointers = new ulong[4];
    private MachineImage _m = new();
    private int _length;
    private bool _branched;
    private bool _committed;

    /// <summary>Vector of the first exception, or <see cref="CaseResult.None"/>.</summary>
    public int FirstVector { get; private set; }

    /// <summary>Its error code.</summary>
    public uint FirstCode { get; private set; }

    /// <summary>What was executed.</summary>
    public Instruction Instruction { get; private set; }

    public bool IsShutdown { get; private set; }

    /// <summary>CR2 is that of a frame which lies in two pages, whose first push the manuals do not tell.</summary>
    public bool IsAddressLoose { get; private set; }

    /// <summary>Descriptors of a task that was entered only in part are not known.</summary>
    public bool AreSegmentsLoose { get; private set; }

    /// <summary>Bits of general registers that are undefined.</summary>
    public ulong[] LooseRegisters { get; } = new ulong[MachineImage.GeneralCount];

    public uint LooseFlags { get; private set; }

    /// <summary>Executes one instruction, or delivers the exceptions that it raises; of a program all instructions up to VMCALL, HLT or a shutdown.</summary>
    /// <exception cref="UnjudgedCase">The manuals do not say what comes out.</exception>
    public void Execute(MachineImage machine)
    {
        _m = machine;
        _isProgram = machine[MachineRegister.Steps] != 0;
        IsStopped = false;
        Executed.Clear();
        FirstVector = CaseResult.None;
        FirstCode = 0;
        Instruction = default;
        IsShutdown = false;
        IsAddressLoose = false;
        AreSegmentsLoose = false;
        LooseFlags = 0;
        Array.Clear(LooseRegisters);
        BeginMemory();
        if (_isProgram)
        {
            ExecuteProgram();
        }
        else
        {
            Step();
        }
    }

    private void Step()
    {
        Begin();
        ArchitecturalFault fault;
        try
        {
            if (this[MachineRegister.Event] != 0)
            {
                int vector = (int)this[MachineRegister.Event] & 0xff;
                this[MachineRegister.Event] = 0;
                Deliver(vector, isSoftware: false, isExternal: true, null, _m.Rip, _m.Flags);
                return;
            }

            Instruction i = Fetch();
            Instruction = i;
            _length = i.Length;
            if (_isProgram && IsEnd(i))
            {
                return;
            }

            Perform(i);
            _m.Rip = _branched ? _m.Rip : Next;
            Serialize(i);
            return;
        }
        catch (ArchitecturalFault f)
        {
            fault = f;
            Fail(f);
        }

        this[MachineRegister.Event] = 0;
        DeliverFault(fault);
    }

    private ulong this[MachineRegister register]
    {
        get => _m[register];
        set => _m[register] = value;
    }

    private ulong Next => _m.Is64 ? _m.Rip + (ulong)_length : (uint)(_m.Rip + (ulong)_length);

    private int IoLevel => (int)(_m.Flags >> 12) & 3;

    private void Begin()
    {
        _before.CopyRegistersFrom(_m);
        _committed = false;
        _branched = false;
        _pushesFrame = false;
        CommitMemory();
    }

    // What had changed is undone, unless a task switch has gone too far for that.
    private void Fail(ArchitecturalFault f)
    {
        if (FirstVector == CaseResult.None)
        {
            FirstVector = f.Vector;
            FirstCode = f.Code ?? 0;
        }

        if (!_committed)
        {
            _m.CopyRegistersFrom(_before);
            UndoMemory();
        }

        if (f.Vector == ArchitecturalFault.Page)
        {
            this[MachineRegister.Cr2] = f.Address;
        }

        if (f.DetectsDebugAccess)
        {
            this[MachineRegister.Dr6] |= 0x2000;
            this[MachineRegister.Dr7] &= ~0x2000UL;
        }
    }

    // Intel SDM volume 3, table 6-5: which pairs make a double fault; a third fault is a shutdown.
    private void DeliverFault(ArchitecturalFault fault)
    {
        int vector = fault.Vector;
        uint? code = fault.Code;
        for (int n = 0; n < MostExceptions; n++)
        {
            Begin();
            try
            {
                // Volume 3, section 18.3.1.1: exceptions of the fault class push RF set, but for debug exceptions.
                uint flags = _m.Flags | (vector == ArchitecturalFault.Debug ? 0 : Resume);
                Deliver(vector, isSoftware: false, isExternal: true, code, _m.Rip, flags);
                if (vector == ArchitecturalFault.Debug)
                {
                    this[MachineRegister.Dr7] &= ~0x2000UL;
                }

                return;
            }
            catch (ArchitecturalFault second)
            {
                Fail(second);
                FaultClass first = Classify(vector);
                FaultClass then = Classify(second.Vector);
                if (first == FaultClass.Double && then != FaultClass.Benign)
                {
                    IsShutdown = true;
                    return;
                }

                bool isDouble = (first == FaultClass.Contributory && then == FaultClass.Contributory) || (first == FaultClass.Page && then != FaultClass.Benign);
                vector = isDouble ? ArchitecturalFault.DoubleFault : second.Vector;
                code = isDouble ? 0 : second.Code;
            }
        }

        throw new UnjudgedCase("exceptions without end");
    }

    private static FaultClass Classify(int vector) => vector switch
    {
        0 or (>= ArchitecturalFault.InvalidTask and <= ArchitecturalFault.Protection) => FaultClass.Contributory,
        ArchitecturalFault.Page => FaultClass.Page,
        ArchitecturalFault.DoubleFault => FaultClass.Double,
        _ => FaultClass.Benign,
    };

    private Instruction Fetch()
    {
        const int most = 15;
        ulong linear = _m.Is64 ? _m.Rip : (uint)(_m.Segments[MachineImage.Cs].Base + _m.Rip);
        if (_isProgram)
        {
            return FetchOfProgram(linear);
        }

        int at = (int)Translate(linear, Access.Execute, _m.Cpl == 3, isExplicit: true);
        byte[] bytes = _m.Memory.AsSpan(at, Math.Min(most, 0x1000 - (at & 0xfff))).ToArray();
        Decoder decoder = Decoder.Create(_m.CodeSize * 8, new ByteArrayReader(bytes), 0, DecoderOptions.None);
        return decoder.Decode();
    }

    private void Perform(in Instruction i)
    {
        if (i.IsInvalid)
        {
            throw ArchitecturalFault.Ud();
        }

        if (!TryPerformOrdinary(i) && !TryPerformSegments(i) && !TryPerformTransfer(i) && !TryPerformRegisters(i) && !TryPerformFlags(i))
        {
            throw new UnjudgedCase($"{i.Mnemonic} is no instruction of the model");
        }
    }

    private void RequireKernel()
    {
        if (_m.Cpl != 0)
        {
            throw ArchitecturalFault.Gp();
        }
    }

    private void Require(bool allowed, uint code = 0)
    {
        if (!allowed)
        {
            throw ArchitecturalFault.Gp(code);
        }
    }

    private void Branch(ulong rip)
    {
        _branched = true;
        _m.Rip = rip;
    }

    private static uint CodeOf(ushort selector) => selector & 0xfffcu;

    private static bool IsNull(ushort selector) => selector < 4;

    private static bool IsCanonical(ulong address) => (long)(address << 16) >> 16 == (long)address;

    private static ulong Truncate(ulong value, int size) => size == 2 ? (ushort)value : size == 4 ? (uint)value : value;

    // Number of a general register, of any width but the high bytes.
    private static int Number(Register register) => register.GetFullRegister() - Register.RAX;

    private static int SegmentNumber(Register register) => register - Register.ES;

    private void WriteRegister(int number, ulong value, int size) =>
        _m.General[number] = size switch
        {
            1 => (_m.General[number] & ~0xffUL) | (byte)value,
            2 => (_m.General[number] & ~0xffffUL) | (ushort)value,
            4 => (uint)value,
            _ => value,
        };

    private enum FaultClass
    {
        Benign,
        Contributory,
        Page,
        Double,
    }
}
