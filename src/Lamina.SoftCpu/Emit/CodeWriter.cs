using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Lamina.SoftCpu.Emit;

/// <summary>Writes x86-64 machine code to a buffer. Only the forms that stubs use; base registers are never RSP, RBP, R12 or R13.</summary>
internal unsafe ref struct CodeWriter
{
    public const int Rax = 0;
    public const int Rcx = 1;
    public const int Rdx = 2;
    public const int Rbx = 3;
    public const int Rsi = 6;
    public const int Rdi = 7;
    public const int R8 = 8;
    public const int R9 = 9;
    public const int R11 = 11;

    private readonly Span<byte> _buffer;

    /// <summary>Starts at the beginning of <paramref name="buffer"/>.</summary>
    public CodeWriter(Span<byte> buffer)
    {
        _buffer = buffer;
        Length = 0;
    }

    /// <summary>Bytes written.</summary>
    public int Length { get; private set; }

    /// <summary>One byte.</summary>
    public void Byte(int value) => _buffer[Length++] = (byte)value;

    /// <summary>Given bytes.</summary>
    public void Bytes(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(_buffer[Length..]);
        Length += bytes.Length;
    }

    /// <summary>Four bytes, little-endian.</summary>
    public void Dword(int value)
    {
        Unsafe.WriteUnaligned(ref _buffer.Slice(Length, 4)[0], value);
        Length += 4;
    }

    /// <summary>Eight bytes, little-endian.</summary>
    public void Qword(long value)
    {
        Unsafe.WriteUnaligned(ref _buffer.Slice(Length, 8)[0], value);
        Length += 8;
    }

    /// <summary>ModRM (and displacement) for [<paramref name="baseRegister"/> + <paramref name="displacement"/>].</summary>
    public void Address(int reg, int baseRegister, int displacement)
    {
        Debug.Assert((baseRegister & 7) is not 4 and not 5);
        int modRm = ((reg & 7) << 3) | (baseRegister & 7);
        if (displacement == 0)
        {
            Byte(modRm);
        }
        else
        {
            Byte(modRm | 0x80);
            Dword(displacement);
        }
    }

    /// <summary>MOV r64, [base + displacement].</summary>
    public void Load(int register, int baseRegister, int displacement = 0) => Move(0x8b, register, baseRegister, displacement);

    /// <summary>MOV [base + displacement], r64.</summary>
    public void Store(int register, int baseRegister, int displacement = 0) => Move(0x89, register, baseRegister, displacement);

    /// <summary>MOV r64, r64.</summary>
    public void Copy(int destination, int source)
    {
        Byte(0x48 | ((source >> 3) << 2) | (destination >> 3));
        Byte(0x89);
        Byte(0xc0 | ((source & 7) << 3) | (destination & 7));
    }

    /// <summary>MOV r64, imm64.</summary>
    public void LoadImmediate(int register, long value)
    {
        Byte(0x48 | (register >> 3));
        Byte(0xb8 | (register & 7));
        Qword(value);
    }

    /// <summary>MOVUPS xmm, m128 or back.</summary>
    public void MoveXmm(bool store, int register, int baseRegister, int displacement = 0)
    {
        Rex(0, register, baseRegister);
        Byte(0x0f);
        Byte(store ? 0x11 : 0x10);
        Address(register, baseRegister, displacement);
    }

    /// <summary>VMOVUPS ymm, m256 or back.</summary>
    public void MoveYmm(bool store, int register, int baseRegister, int displacement = 0)
    {
        Debug.Assert(register < 8);
        Byte(0xc4);
        Byte(0xc1 | (baseRegister < 8 ? 0x20 : 0));
        Byte(0x7c);
        Byte(store ? 0x11 : 0x10);
        Address(register, baseRegister, displacement);
    }

    /// <summary>MOVQ mm, m64 or back.</summary>
    public void MoveMm(bool store, int register, int baseRegister, int displacement = 0)
    {
        Rex(0, 0, baseRegister);
        Byte(0x0f);
        Byte(store ? 0x7f : 0x6f);
        Address(register, baseRegister, displacement);
    }

    /// <summary>LDMXCSR [base + displacement].</summary>
    public void LoadMxcsr(int baseRegister, int displacement)
    {
        Byte(0x0f);
        Byte(0xae);
        Address(2, baseRegister, displacement);
    }

    /// <summary>STMXCSR [base + displacement].</summary>
    public void StoreMxcsr(int baseRegister, int displacement)
    {
        Byte(0x0f);
        Byte(0xae);
        Address(3, baseRegister, displacement);
    }

    /// <summary>RFLAGS = [base + displacement] (PUSH, POPFQ).</summary>
    public void LoadFlags(int baseRegister, int displacement)
    {
        Byte(0xff);
        Address(6, baseRegister, displacement);
        Byte(0x9d);
    }

    /// <summary>[base + displacement] = RFLAGS (PUSHFQ, POP).</summary>
    public void StoreFlags(int baseRegister, int displacement)
    {
        Byte(0x9c);
        Byte(0x8f);
        Address(0, baseRegister, displacement);
    }

    /// <summary>VZEROUPPER.</summary>
    public void ZeroUpper() => Bytes([0xc5, 0xf8, 0x77]);

    /// <summary>EMMS.</summary>
    public void EmptyMmx() => Bytes([0x0f, 0x77]);

    /// <summary>RET.</summary>
    public void Return() => Byte(0xc3);

    private void Move(byte opcode, int register, int baseRegister, int displacement)
    {
        Rex(8, register, baseRegister);
        Byte(opcode);
        Address(register, baseRegister, displacement);
    }

    private void Rex(int w, int register, int baseRegister)
    {
        int rex = w | ((register >> 3) << 2) | (baseRegister >> 3);
        if (rex != 0)
        {
            Byte(0x40 | rex);
        }
    }
}
