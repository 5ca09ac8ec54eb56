using System.Numerics;
using Iced.Intel;

namespace Lamina.Verify.Legacy;

/// <summary>DAA, DAS, AAA, AAS, AAM, AAD.</summary>
internal sealed partial class ModelProcessor
{
    private bool RunDecimal(in Instruction i)
    {
        uint al = _registers[Ax] & 0xff;
        uint ah = (_registers[Ax] >> 8) & 0xff;
        bool low = (al & 15) > 9 || (_flags & Auxiliary) != 0;
        switch (i.Mnemonic)
        {
            case Mnemonic.Daa:
            case Mnemonic.Das:
                bool add = i.Mnemonic == Mnemonic.Daa;
                bool carry = (_flags & Carry) != 0;
                bool high = al > 0x99 || carry;
                bool borrow = low && (carry || (add ? al + 6 > 0xff : al < 6));
                uint adjusted = low ? add ? al + 6 : al - 6 : al;
                adjusted = high ? add ? adjusted + 0x60 : adjusted - 0x60 : adjusted;
                SetFlag(Auxiliary, low);
                SetFlag(Carry, high || borrow);
                Set(Register.AL, adjusted);
                SetResult(adjusted);
                return true;

            case Mnemonic.Aaa:
            case Mnemonic.Aas:
                uint step = low ? i.Mnemonic == Mnemonic.Aaa ? 0x106u : unchecked((uint)-0x106) : 0;
                Set(Register.AX, ((_registers[Ax] & 0xffff) + step) & 0xff0f);
                SetFlag(Auxiliary, low);
                SetFlag(Carry, low);
                return true;

            case Mnemonic.Aam when i.Immediate8 == 0:
                Raise(0);
                return true;

            case Mnemonic.Aam:
                Set(Register.AH, al / i.Immediate8);
                Set(Register.AL, al % i.Immediate8);
                SetResult(al % i.Immediate8);
                return true;

            case Mnemonic.Aad:
                uint sum = (al + (ah * i.Immediate8)) & 0xff;
                Set(Register.AX, sum);
                SetResult(sum);
                return true;

            default:
                return false;
        }
    }

    private void SetResult(uint value)
    {
        SetFlag(Sign, (value & 0x80) != 0);
        SetFlag(Zero, (value & 0xff) == 0);
        SetFlag(Parity, (BitOperations.PopCount(value & 0xff) & 1) == 0);
    }

    private void SetFlag(uint flag, bool value) => _flags = value ? _flags | flag : _flags & ~flag;
}
