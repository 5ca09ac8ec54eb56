using Iced.Intel;

namespace Lamina.Verify.Privileged;

/// <summary>Control, debug, model-specific and table registers (Intel SDM volume 2, MOV CR, MOV DR, LGDT, LMSW, RDMSR, XSETBV and others; volume 3, sections 2.5, 4.1 and 18.2).</summary>
internal sealed partial class SystemModel
{
    private const ulong Cr4Allowed = 0x37_0fff & ~0x3UL;
    private const ulong EferAllowed = 0xd01;
    private const ulong LongModeEnable = 0x100;
    private const ulong LongModeActive = 0x400;
    private const ulong Paging = 1UL << 31;

    private bool TryPerformRegisters(in Instruction i)
    {
        switch (i.Mnemonic)
        {
            case Mnemonic.Mov when i.Op0Register.IsCR():
                WriteControl(i.Op0Register - Register.CR0, Value(i.Op1Register));
                break;
            case Mnemonic.Mov when i.Op1Register.IsCR():
                ulong control = ReadControl(i.Op1Register - Register.CR0);
                RequireKernel();
                WriteRegister(Number(i.Op0Register), control, i.Op0Register.GetSize());
                break;
            case Mnemonic.Mov when i.Op0Register.IsDR():
                WriteDebug(i.Op0Register - Register.DR0, Value(i.Op1Register));
                break;
            case Mnemonic.Mov when i.Op1Register.IsDR():
                int debug = CheckDebug(i.Op1Register - Register.DR0);
                WriteRegister(Number(i.Op0Register), this[MachineRegister.Dr0 + debug], i.Op0Register.GetSize());
                break;
            case Mnemonic.Lgdt:
                LoadTable(i, MachineRegister.GdtBase);
                break;
            case Mnemonic.Lidt:
                LoadTable(i, MachineRegister.IdtBase);
                break;
            case Mnemonic.Sgdt:
                StoreTable(i, MachineRegister.GdtBase);
                break;
            case Mnemonic.Sidt:
                StoreTable(i, MachineRegister.IdtBase);
                break;
            case Mnemonic.Smsw:
                Require(_m.Cpl == 0 || (this[MachineRegister.Cr4] & 0x800) == 0);
                if (i.Op0Kind == OpKind.Memory)
                {
                    StoreOperand(Segment(i), Offset(i), (ushort)this[MachineRegister.Cr0], 2);
                }
                else
                {
                    WriteRegister(Number(i.Op0Register), this[MachineRegister.Cr0], i.Op0Register.GetSize());
                }

                break;
            case Mnemonic.Lmsw:
                RequireKernel();
                ulong status = LoadWord(i, 0);
                WriteCr0((this[MachineRegister.Cr0] & ~14UL) | (status & 15));
                break;
            case Mnemonic.Clts:
                RequireKernel();
                this[MachineRegister.Cr0] &= ~8UL;
                break;
            case Mnemonic.Invlpg:
                RequireKernel();
                if (_isProgram)
                {
                    ForgetPage(Narrow(Offset(i) + (_m.Is64 && Segment(i) < MachineImage.Fs ? 0 : _m.Segments[Segment(i)].Base)));
                }

                break;
            case Mnemonic.Invpcid:
                InvalidateSpace(i);
                break;
            case Mnemonic.Wbinvd or Mnemonic.Invd:
                RequireKernel();
                break;
            case Mnemonic.Hlt:
                RequireKernel();
                this[MachineRegister.Halted] = 1;
                break;
            case Mnemonic.Rdmsr:
                RequireKernel();
                ulong read = ReadModelSpecific((uint)_m.General[1]);
                _m.General[0] = (uint)read;
                _m.General[2] = read >> 32;
                break;
            case Mnemonic.Wrmsr:
                RequireKernel();
                WriteModelSpecific((uint)_m.General[1], (uint)_m.General[0] | (_m.General[2] << 32));
                break;
            case Mnemonic.Rdpmc:
                // No counters: either CPL and CR4.PCE forbid it, or ECX names none.
                throw ArchitecturalFault.Gp();
            case Mnemonic.Rdtsc or Mnemonic.Rdtscp:
                Require(_m.Cpl == 0 || (this[MachineRegister.Cr4] & 4) == 0);
                _m.General[0] = 0;
                _m.General[2] = 0;
                _m.General[1] = i.Mnemonic == Mnemonic.Rdtscp ? (uint)this[MachineRegister.TscAux] : _m.General[1];
                break;
            case Mnemonic.Rdpid:
                WriteRegister(Number(i.Op0Register), (uint)this[MachineRegister.TscAux], 8);
                break;
            case Mnemonic.Swapgs:
                RequireKernel();
                ulong kernel = this[MachineRegister.KernelGsBase];
                this[MachineRegister.KernelGsBase] = _m.Segments[MachineImage.Gs].Base;
                _m.Segments[MachineImage.Gs] = _m.Segments[MachineImage.Gs] with { Base = kernel };
                break;
            case Mnemonic.Xsetbv:
                WriteExtendedControl();
                break;
            case Mnemonic.Xgetbv:
                RequireExtended();
                Require((uint)_m.General[1] <= 1);
                if ((uint)_m.General[1] == 1)
                {
                    throw new UnjudgedCase("XINUSE");
                }

                _m.General[0] = (uint)this[MachineRegister.Xcr0];
                _m.General[2] = this[MachineRegister.Xcr0] >> 32;
                break;
            case Mnemonic.Rdfsbase or Mnemonic.Rdgsbase or Mnemonic.Wrfsbase or Mnemonic.Wrgsbase:
                SegmentBase(i);
                break;
            case Mnemonic.Monitor or Mnemonic.Mwait or Mnemonic.Ud2 or Mnemonic.Vmcall or Mnemonic.Vmxoff or Mnemonic.Rsm:
                // CPUID offers none of them.
                throw ArchitecturalFault.Ud();
            default:
                return false;
        }

        return true;
    }

    private ulong ReadControl(int number) => number switch
    {
        0 => this[MachineRegister.Cr0],
        2 => this[MachineRegister.Cr2],
        3 => this[MachineRegister.Cr3],
        4 => this[MachineRegister.Cr4],
        8 => this[MachineRegister.Cr8],
        _ => throw ArchitecturalFault.Ud(),
    };

    private void WriteControl(int number, ulong value)
    {
        _ = ReadControl(number);
        RequireKernel();
        switch (number)
        {
            case 0:
                WriteCr0(value);
                break;
            case 2:
                this[MachineRegister.Cr2] = value;
                break;
            case 3:
                WriteCr3(value);
                break;
            case 4:
                WriteCr4(value);
                break;
            default:
                Require(value <= 15);
                this[MachineRegister.Cr8] = value;
                break;
        }
    }

    private void WriteCr0(ulong value)
    {
        const ulong defined = 0xe005_003f;
        Require(value >> 32 == 0);
        value = (value & defined) | 0x10;
        bool paging = (value & Paging) != 0;
        bool wasPaging = (this[MachineRegister.Cr0] & Paging) != 0;
        Require(!paging || (value & 1) != 0);
        Require((value & 0x2000_0000) == 0 || (value & 0x4000_0000) != 0);
        ulong efer = this[MachineRegister.Efer];
        bool pae = (this[MachineRegister.Cr4] & 0x20) != 0;
        if (paging && !wasPaging && (efer & LongModeEnable) != 0)
        {
            Require(pae && !_m.Segments[MachineImage.Cs].IsLong);
            efer |= LongModeActive;

            // Section 9.8.5: the TSS must not be a 16-bit one.
            Require((_m.Segments[MachineImage.Task].Attributes & 8) != 0);
        }

        if (!paging && wasPaging)
        {
            Require(!_m.Is64 && (this[MachineRegister.Cr4] & 0x2_0000) == 0);
            efer &= ~LongModeActive;
        }

        ulong changed = value ^ this[MachineRegister.Cr0];
        bool loadsPointers = paging && pae && (efer & LongModeActive) == 0 && (changed & (Paging | 0x6000_0000)) != 0;
        Require(!loadsPointers || LoadPointers(this[MachineRegister.Cr3]));
        this[MachineRegister.Cr0] = value;
        this[MachineRegister.Efer] = efer;
        if (!paging && wasPaging)
        {
            ForgetAll();
        }
    }

    private void WriteCr3(ulong value)
    {
        ulong cr4 = this[MachineRegister.Cr4];
        bool pcid = (cr4 & 0x2_0000) != 0;
        bool keeps = pcid && value >> 63 != 0;
        KeepAll();
        value &= pcid ? ~(1UL << 63) : ulong.MaxValue;
        Require(!_m.IsLong || (value & (ReservedFrame | 0xfff0_0000_0000_0000)) == 0);
        if ((this[MachineRegister.Cr0] & Paging) != 0 && (cr4 & 0x20) != 0 && !_m.IsLong)
        {
            Require(LoadPointers(value));
        }

        this[MachineRegister.Cr3] = value;
        if (!keeps)
        {
            ForgetSpace(Space);
        }
    }

    private void WriteCr4(ulong value)
    {
        ulong old = this[MachineRegister.Cr4];
        Require((value & ~Cr4Allowed) == 0 && (!_m.IsLong || (value & 0x20) != 0));
        Require((value & ~old & 0x2_0000) == 0 || (_m.IsLong && (this[MachineRegister.Cr3] & 0xfff) == 0));
        bool pae = (this[MachineRegister.Cr0] & Paging) != 0 && (value & 0x20) != 0 && !_m.IsLong;
        Require(!pae || ((value ^ old) & 0x10_00b0) == 0 || LoadPointers(this[MachineRegister.Cr3]));
        KeepAll();
        this[MachineRegister.Cr4] = value;
        ulong changed = value ^ old;
        if ((changed & GlobalPages) != 0 || (changed & old & Identifiers) != 0)
        {
            ForgetAll();
        }
        else if ((changed & PhysicalExtension) != 0 || (changed & value & SmepBit) != 0)
        {
            ForgetSpace(Space);
        }
    }

    private int CheckDebug(int number)
    {
        if (number > 7)
        {
            throw ArchitecturalFault.Ud();
        }

        bool isAlias = number is 4 or 5;
        bool aliasForbidden = isAlias && (this[MachineRegister.Cr4] & 8) != 0;
        if (aliasForbidden && _m.Cpl != 0)
        {
            throw new UnjudgedCase("two exceptions of one rank");
        }

        RequireKernel();
        if (aliasForbidden)
        {
            throw ArchitecturalFault.Ud();
        }

        if ((this[MachineRegister.Dr7] & 0x2000) != 0)
        {
            throw new ArchitecturalFault(ArchitecturalFault.Debug) { DetectsDebugAccess = true };
        }

        // DR6 and DR7 follow DR3.
        int register = isAlias ? number + 2 : number;
        return register < 4 ? register : register - 2;
    }

    private void WriteDebug(int number, ulong value)
    {
        int register = CheckDebug(number);
        Require(register < 4 || value >> 32 == 0);
        this[MachineRegister.Dr0 + register] = register switch
        {
            4 => (value & 0xe00f) | 0xffff_0ff0,
            5 => (value & 0xffff_23ff) | 0x400,
            _ => value,
        };
    }

    private void LoadTable(in Instruction i, MachineRegister register)
    {
        RequireKernel();
        bool is64 = _m.Is64;
        Span<byte> bytes = stackalloc byte[is64 ? 10 : 6];
        ulong at = Offset(i);
        RequireWhole(i, at, bytes.Length, 2);
        LoadOperand(Segment(i), at, bytes);
        ulong address = is64 ? BitConverter.ToUInt64(bytes[2..]) : BitConverter.ToUInt32(bytes[2..]) & (i.Code is Code.Lgdt_m1632_16 or Code.Lidt_m1632_16 ? 0xff_ffffu : uint.MaxValue);
        Require(!is64 || IsCanonical(address));
        this[register] = address;
        this[register + 1] = BitConverter.ToUInt16(bytes);
    }

    private void StoreTable(in Instruction i, MachineRegister register)
    {
        RequireShown();
        Span<byte> bytes = stackalloc byte[10];
        BitConverter.TryWriteBytes(bytes, (ushort)this[register + 1]);
        BitConverter.TryWriteBytes(bytes[2..], this[register]);
        ulong at = Offset(i);
        RequireWhole(i, at, _m.Is64 ? 10 : 6, 2);
        if (ChecksAlignment)
        {
            throw new UnjudgedCase("alignment of what SGDT and SIDT store");
        }

        StoreOperand(Segment(i), at, bytes[..(_m.Is64 ? 10 : 6)]);
    }

    private void InvalidateSpace(in Instruction i)
    {
        RequireKernel();
        Span<byte> bytes = stackalloc byte[16];
        ulong at = Offset(i);
        RequireWhole(i, at, 16, 8);
        LoadOperand(Segment(i), at, bytes);
        ulong type = Value(i.Op0Register);
        ulong descriptor = BitConverter.ToUInt64(bytes);
        bool hasSpaces = (this[MachineRegister.Cr4] & 0x2_0000) != 0;
        Require(type <= 3);
        Require(type > 1 || (descriptor >> 12 == 0 && (descriptor == 0 || hasSpaces)));
        if (type > 1 && descriptor >> 12 != 0)
        {
            throw new UnjudgedCase("reserved bits of a descriptor of INVPCID that it does not use");
        }

        Require(type != 0 || IsCanonical(BitConverter.ToUInt64(bytes[8..])));
        switch (type)
        {
            case 0:
                ForgetPageOf((int)descriptor, BitConverter.ToUInt64(bytes[8..]));
                break;
            case 1:
                ForgetSpace((int)descriptor);
                break;
            case 2:
                ForgetAll();
                break;
            default:
                ForgetSpaces();
                break;
        }
    }

    private void RequireExtended()
    {
        if ((this[MachineRegister.Cr4] & 0x4_0000) == 0)
        {
            throw ArchitecturalFault.Ud();
        }
    }

    private void WriteExtendedControl()
    {
        RequireExtended();
        RequireKernel();
        ulong value = (uint)_m.General[0] | (_m.General[2] << 32);
        Require((uint)_m.General[1] == 0 && (value & ~7UL) == 0 && (value & 1) != 0 && (value & 6) != 4);
        this[MachineRegister.Xcr0] = value;
    }

    private void SegmentBase(in Instruction i)
    {
        if (!_m.Is64 || (this[MachineRegister.Cr4] & 0x1_0000) == 0)
        {
            throw ArchitecturalFault.Ud();
        }

        int segment = i.Mnemonic is Mnemonic.Rdfsbase or Mnemonic.Wrfsbase ? MachineImage.Fs : MachineImage.Gs;
        if (i.Mnemonic is Mnemonic.Rdfsbase or Mnemonic.Rdgsbase)
        {
            WriteRegister(Number(i.Op0Register), _m.Segments[segment].Base, i.Op0Register.GetSize());
            return;
        }

        ulong address = Value(i.Op0Register);
        Require(IsCanonical(address));
        _m.Segments[segment] = _m.Segments[segment] with { Base = address };
    }

    private static MachineRegister? RegisterOf(uint index) => index switch
    {
        0x174 => MachineRegister.SysenterCs,
        0x175 => MachineRegister.SysenterEsp,
        0x176 => MachineRegister.SysenterEip,
        0xc000_0080 => MachineRegister.Efer,
        0xc000_0081 => MachineRegister.Star,
        0xc000_0082 => MachineRegister.Lstar,
        0xc000_0083 => MachineRegister.Cstar,
        0xc000_0084 => MachineRegister.Fmask,
        0xc000_0102 => MachineRegister.KernelGsBase,
        0xc000_0103 => MachineRegister.TscAux,
        _ => null,
    };

    private ulong ReadModelSpecific(uint index)
    {
        if (index is 0xc000_0100 or 0xc000_0101)
        {
            return _m.Segments[index == 0xc000_0100 ? MachineImage.Fs : MachineImage.Gs].Base;
        }

        // The others that are drawn are none.
        return RegisterOf(index) is { } register ? this[register] : throw ArchitecturalFault.Gp();
    }

    private void WriteModelSpecific(uint index, ulong value)
    {
        if (index is 0xc000_0100 or 0xc000_0101)
        {
            Require(IsCanonical(value));
            int segment = index == 0xc000_0100 ? MachineImage.Fs : MachineImage.Gs;
            _m.Segments[segment] = _m.Segments[segment] with { Base = value };
            return;
        }

        if (_isProgram && RegisterOf(index) == null)
        {
            throw new UnjudgedCase("a register that no program names");
        }

        MachineRegister register = RegisterOf(index) ?? throw ArchitecturalFault.Gp();
        switch (register)
        {
            case MachineRegister.Efer:
                ulong efer = this[MachineRegister.Efer];
                Require((value & ~EferAllowed) == 0);
                Require((this[MachineRegister.Cr0] & Paging) == 0 || ((value ^ efer) & LongModeEnable) == 0);
                KeepAll();
                this[register] = (value & ~LongModeActive) | (efer & LongModeActive);
                break;
            case MachineRegister.Lstar or MachineRegister.Cstar or MachineRegister.KernelGsBase or MachineRegister.SysenterEsp or MachineRegister.SysenterEip:
                Require(IsCanonical(value));
                this[register] = value;
                break;
            case MachineRegister.TscAux:
                Require(value >> 32 == 0);
                this[register] = value;
                break;
            case MachineRegister.SysenterCs or MachineRegister.Fmask:
                if (value >> 32 != 0)
                {
                    throw new UnjudgedCase("reserved bits of a model-specific register");
                }

                this[register] = value;
                break;
            default:
                this[register] = value;
                break;
        }
    }
}
