using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Lamina.SoftCpu.Translate;

/// <summary>Writes host instructions. Bounded: once the buffer is full nothing more is written and <see cref="Overflowed"/> is set.</summary>
/// <param name="buffer">Where the code will be executed.</param>
/// <param name="size">Bytes there.</param>
/// <param name="writeDistance">Where it is written, from there: not 0 if no page is both writable and executable.</param>
internal unsafe struct HostAssembler(byte* buffer, int size, nint writeDistance)
{
    private const byte GsPrefix = 0x65;
    private readonly byte* _buffer = buffer;
    private readonly byte* _write = buffer + writeDistance;
    private readonly int _size = size;

    /// <summary>Bytes written.</summary>
    public int Length { get; private set; }

    /// <summary>Something did not fit.</summary>
    public bool Overflowed { get; private set; }

    /// <summary>Address at which the next byte will be executed.</summary>
    public readonly byte* Here => _buffer + Length;

    public void Byte(int value)
    {
        if (Length < _size)
        {
            _write[Length++] = (byte)value;
        }
        else
        {
            Overflowed = true;
        }
    }

    public void Word(int value)
    {
        Byte(value);
        Byte(value >> 8);
    }

    public void Dword(int value)
    {
        if (Length + 4 <= _size)
        {
            Unsafe.WriteUnaligned(_write + Length, value);
            Length += 4;
        }
        else
        {
            Overflowed = true;
        }
    }

    public void Qword(long value)
    {
        Dword((int)value);
        Dword((int)(value >> 32));
    }

    /// <summary>An opcode of one to three bytes, most significant first.</summary>
    public void Opcode(int opcode)
    {
        if (opcode > 0xff_ffff)
        {
            Byte(opcode >> 24);
        }

        if (opcode > 0xffff)
        {
            Byte(opcode >> 16);
        }

        if (opcode > 0xff)
        {
            Byte(opcode >> 8);
        }

        Byte(opcode);
    }

    /// <summary>REX, opcode, ModRM with a register operand.</summary>
    public void RegisterForm(int opcode, int reg, int rm, bool wide, bool forceRex = false)
    {
        Rex(wide, reg, 0, rm, forceRex);
        Opcode(opcode);
        Byte(0xc0 | ((reg & 7) << 3) | (rm & 7));
    }

    /// <summary>REX, opcode, ModRM for [base + displacement].</summary>
    public void MemoryForm(int opcode, int reg, int baseRegister, int displacement, bool wide, bool forceRex = false)
    {
        Rex(wide, reg, 0, baseRegister, forceRex);
        Opcode(opcode);
        Address(reg, baseRegister, displacement);
    }

    /// <summary>REX, opcode, ModRM for a field of the context, at the GS base.</summary>
    public void ContextForm(int opcode, int reg, int offset, bool wide)
    {
        Byte(GsPrefix);
        Rex(wide, reg, 0, 0, false);
        Opcode(opcode);
        Byte(0x04 | ((reg & 7) << 3));
        Byte(0x25);
        Dword(offset);
    }

    /// <summary>VEX of three bytes, opcode (map in bits 9:8), ModRM with a register or [rm + displacement].</summary>
    public void Vex(int opcode, int prefix, int reg, int vvvv, int rm, bool w, bool wide, bool memory, int displacement = 0)
    {
        int pp = prefix switch { 0x66 => 1, 0xf3 => 2, 0xf2 => 3, _ => 0 };
        Byte(0xc4);
        Byte((reg < 8 ? 0x80 : 0) | 0x40 | (rm < 8 ? 0x20 : 0) | (opcode >> 8));
        Byte((w ? 0x80 : 0) | ((~vvvv & 15) << 3) | (wide ? 4 : 0) | pp);
        Byte(opcode);
        if (memory)
        {
            Address(reg, rm, displacement);
        }
        else
        {
            Byte(0xc0 | ((reg & 7) << 3) | (rm & 7));
        }
    }

    /// <summary>VEX of two bytes with a vector register, perhaps another one that is read, and a field of the context.</summary>
    public void ContextVector(int opcode, int register, int offset, bool wide, int source = 0)
    {
        Byte(GsPrefix);
        Byte(0xc5);
        Byte((register < 8 ? 0x80 : 0) | ((~source & 15) << 3) | (wide ? 4 : 0));
        Byte(opcode);
        Byte(0x04 | ((register & 7) << 3));
        Byte(0x25);
        Dword(offset);
    }

    /// <summary>MOV r64, [context].</summary>
    public void LoadContext(int register, int offset) => ContextForm(0x8b, register, offset, true);

    /// <summary>MOV [context], r64.</summary>
    public void StoreContext(int register, int offset) => ContextForm(0x89, register, offset, true);

    /// <summary>MOV r64, r64.</summary>
    public void Move(int destination, int source) => RegisterForm(0x8b, destination, source, true);

    /// <summary>MOV r64, immediate, in its shortest form.</summary>
    public void MoveImmediate(int register, long value)
    {
        if (value is >= 0 and <= uint.MaxValue)
        {
            Rex(false, 0, 0, register, false);
            Byte(0xb8 | (register & 7));
            Dword((int)value);
        }
        else if (value is >= int.MinValue and < 0)
        {
            RegisterForm(0xc7, 0, register, true);
            Dword((int)value);
        }
        else
        {
            Rex(true, 0, 0, register, false);
            Byte(0xb8 | (register & 7));
            Qword(value);
        }
    }

    /// <summary>LEA r, [base + index * 2^scale + displacement]; base or index may be -1.</summary>
    public void Lea(int register, int baseRegister, int index, int scale, int displacement, bool wide = true)
    {
        Rex(wide, register, index < 0 ? 0 : index, baseRegister < 0 ? 0 : baseRegister, false);
        Byte(0x8d);
        if (index < 0 && baseRegister >= 0)
        {
            Address(register, baseRegister, displacement);
            return;
        }

        int sib = (scale << 6) | ((index < 0 ? 4 : index & 7) << 3) | (baseRegister < 0 ? 5 : baseRegister & 7);
        if (baseRegister < 0)
        {
            Byte(0x04 | ((register & 7) << 3));
            Byte(sib);
            Dword(displacement);
        }
        else if (displacement is >= -128 and <= 127)
        {
            Byte(0x44 | ((register & 7) << 3));
            Byte(sib);
            Byte(displacement);
        }
        else
        {
            Byte(0x84 | ((register & 7) << 3));
            Byte(sib);
            Dword(displacement);
        }
    }

    /// <summary>JMP rel32 to an address.</summary>
    public void Jump(byte* target)
    {
        Byte(0xe9);
        Dword((int)(target - (Here + 4)));
    }

    /// <summary>Jcc rel32, to be patched; answers the place of its displacement.</summary>
    public int JumpIf(int condition)
    {
        Byte(0x0f);
        Byte(0x80 | condition);
        Dword(0);
        return Length - 4;
    }

    /// <summary>Jcc rel32 to an address.</summary>
    public void JumpIf(int condition, byte* target)
    {
        Byte(0x0f);
        Byte(0x80 | condition);
        Dword((int)(target - (Here + 4)));
    }

    /// <summary>Jcc rel8, to be patched; answers the place of its displacement.</summary>
    public int JumpIfShort(int condition)
    {
        Byte(0x70 | condition);
        Byte(0);
        return Length - 1;
    }

    /// <summary>Makes the short jump whose displacement is at <paramref name="place"/> come here.</summary>
    public readonly void BindShort(int place)
    {
        if (!Overflowed)
        {
            Debug.Assert(Length - (place + 1) <= 127);
            _write[place] = (byte)(Length - (place + 1));
        }
    }

    /// <summary>CALL rel32 to an address.</summary>
    public void Call(byte* target)
    {
        Byte(0xe8);
        Dword((int)(target - (Here + 4)));
    }

    /// <summary>CALL rel32, to be patched; answers the place of its displacement.</summary>
    public int CallForward()
    {
        Byte(0xe8);
        Dword(0);
        return Length - 4;
    }

    /// <summary>PUSH r64.</summary>
    public void Push(int register) => Stack(0x50, register);

    /// <summary>POP r64.</summary>
    public void Pop(int register) => Stack(0x58, register);

    /// <summary>RET.</summary>
    public void Return() => Byte(0xc3);

    /// <summary>JMP rel32, to be patched.</summary>
    public int JumpForward()
    {
        Byte(0xe9);
        Dword(0);
        return Length - 4;
    }

    /// <summary>Makes the jump whose displacement is at <paramref name="place"/> come here.</summary>
    public readonly void Bind(int place)
    {
        if (!Overflowed)
        {
            Unsafe.WriteUnaligned(_write + place, Length - (place + 4));
        }
    }

    /// <summary>Pads with NOP until what follows after <paramref name="ahead"/> more bytes is at a multiple of <paramref name="alignment"/>.</summary>
    public void Align(int alignment, int ahead = 0)
    {
        while ((((nint)Here + ahead) & (alignment - 1)) != 0 && !Overflowed)
        {
            Byte(0x90);
        }
    }

    /// <summary>Pads until an instruction of five bytes lies within eight aligned ones, so that one store replaces it.</summary>
    public void AlignPatch()
    {
        while (((nint)Here & 7) > 3 && !Overflowed)
        {
            Byte(0x90);
        }
    }

    private void Stack(int opcode, int register)
    {
        if (register >= 8)
        {
            Byte(0x41);
        }

        Byte(opcode | (register & 7));
    }

    private void Address(int reg, int baseRegister, int displacement)
    {
        int low = baseRegister & 7;
        int mod = displacement == 0 && low != 5 ? 0 : displacement is >= -128 and <= 127 ? 1 : 2;
        Byte((mod << 6) | ((reg & 7) << 3) | low);
        if (low == 4)
        {
            Byte(0x24);
        }

        if (mod == 1)
        {
            Byte(displacement);
        }
        else if (mod == 2)
        {
            Dword(displacement);
        }
    }

    private void Rex(bool wide, int reg, int index, int baseRegister, bool force)
    {
        int rex = (wide ? 8 : 0) | ((reg >> 3) << 2) | ((index >> 3) << 1) | (baseRegister >> 3);
        if (rex != 0 || force)
        {
            Byte(0x40 | rex);
        }
    }
}
