using Iced.Intel;

namespace Lamina.Verify.Privileged;

/// <summary>CLI, STI, PUSHF, POPF, CLAC, STAC, IN and OUT (Intel SDM volume 2; volume 1, section 19.5).</summary>
internal sealed partial class SystemModel
{
    private bool TryPerformFlags(in Instruction i)
    {
        switch (i.Mnemonic)
        {
            case Mnemonic.Cli:
                Require(_m.Cpl <= IoLevel);
                _m.Flags &= ~Interrupt;
                break;
            case Mnemonic.Sti:
                Require(_m.Cpl <= IoLevel);
                _m.Flags |= Interrupt;
                break;
            case Mnemonic.Pushf or Mnemonic.Pushfd or Mnemonic.Pushfq:
                Require(!_m.IsVirtual8086 || IoLevel == 3);
                PushFlags(PushedSize(i));
                break;
            case Mnemonic.Popf or Mnemonic.Popfd or Mnemonic.Popfq:
                Require(!_m.IsVirtual8086 || IoLevel == 3);
                PopFlags(PushedSize(i));
                break;
            case Mnemonic.Clac or Mnemonic.Stac:
                if (_m.Cpl != 0)
                {
                    throw ArchitecturalFault.Ud();
                }

                _m.Flags = i.Mnemonic == Mnemonic.Stac ? _m.Flags | AlignmentCheck : _m.Flags & ~AlignmentCheck;
                break;
            case Mnemonic.In:
                int size = i.Op0Register.GetSize();
                RequirePort(i.Op1Kind == OpKind.Register ? (ushort)_m.General[2] : i.Immediate8, size);
                WriteRegister(0, ulong.MaxValue, size);
                break;
            case Mnemonic.Out:
                RequirePort(i.Op0Kind == OpKind.Register ? (ushort)_m.General[2] : i.Immediate8, i.Op1Register.GetSize());
                break;
            case Mnemonic.Nop:
                break;
            default:
                return false;
        }

        return true;
    }

    private void PushFlags(int size)
    {
        ulong pointer = Advance(_m.General[Sp], -size, _m.StackSize);
        StoreOperand(MachineImage.Ss, Truncate(pointer, _m.StackSize), _m.Flags & ~(Resume | Virtual8086), size);
        WriteRegister(Sp, pointer, _m.StackSize);
    }

    private void PopFlags(int size)
    {
        ulong pointer = _m.General[Sp];
        uint flags = (uint)Pop(ref pointer, size);
        uint mask = Status | Trap | Direction | NestedTask | (size == 2 ? 0 : AlignmentCheck | Identification);
        mask |= _m.Cpl <= IoLevel ? Interrupt : 0;
        mask |= _m.Cpl == 0 ? IoPrivilege : 0;
        WriteRegister(Sp, pointer, _m.StackSize);
        _m.Flags = (_m.Flags & ~(mask | Resume)) | (flags & mask);
    }

    private void RequirePort(ushort port, int size)
    {
        if (!_m.IsVirtual8086 && _m.Cpl <= IoLevel)
        {
            return;
        }

        // The byte of the map and the one behind it must both be in the segment.
        SegmentImage task = _m.Segments[MachineImage.Task];
        Require(task.IsUsable && (task.Attributes & 8) != 0 && task.Limit >= 0x67);
        ulong map = LoadSystem(task.Base + 0x66, 2) + (ulong)(port >> 3);
        Require(map + 1 <= task.Limit);
        ulong bits = LoadSystem(task.Base + map, 2) >> (port & 7);
        Require((bits & ((1u << size) - 1)) == 0);
    }
}
