using System.Buffers.Binary;
using Lamina.Interop.Memory;

namespace Lamina.SoftCpu.Tests.Fpu;

/// <summary>Executes instruction bytes on this host's processor with a given register state: the oracle.</summary>
internal sealed unsafe class NativeMachine : IDisposable
{
    private const int StateOffset = 4096;
    private const int HostMxcsr = 2048;
    private readonly ExecutableMemory _memory = ExecutableMemory.Map(16384);
    private byte[] _buffer = new byte[1024];
    private int _length;

    /// <summary>The registers before and after.</summary>
    public NativeState* State => (NativeState*)(_memory.WritePointer + StateOffset);

    /// <summary>Executes <paramref name="instruction"/>, which may use memory that the caller owns, but not RSP.</summary>
    public void Run(ReadOnlySpan<byte> instruction)
    {
        *(uint*)(_memory.WritePointer + StateOffset + HostMxcsr) = 0x1f80;
        _length = 0;
        Bytes(0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57);
        RipRelative([0x48, 0x0f, 0xae], 1, NativeState.X87Offset); // fxrstor64
        RipRelative([0x0f, 0xae], 2, NativeState.MxcsrOffset); // ldmxcsr
        for (int n = 0; n < 16; n++)
        {
            RipRelative([0xc5, (byte)(n < 8 ? 0xfc : 0x7c), 0x10], n & 7, n * 32);
        }

        RipRelative([0xff], 6, NativeState.FlagsOffset); // push
        Bytes(0x9d);
        MoveGeneral(0x8b);
        Bytes(instruction.ToArray());
        MoveGeneral(0x89);
        Bytes(0x9c);
        RipRelative([0x8f], 0, NativeState.FlagsOffset); // pop
        for (int n = 0; n < 16; n++)
        {
            RipRelative([0xc5, (byte)(n < 8 ? 0xfc : 0x7c), 0x11], n & 7, n * 32);
        }

        RipRelative([0x0f, 0xae], 3, NativeState.MxcsrOffset); // stmxcsr
        RipRelative([0x48, 0x0f, 0xae], 0, NativeState.X87Offset); // fxsave64
        Bytes(0xdb, 0xe3, 0xfc, 0xc5, 0xf8, 0x77);
        RipRelative([0x0f, 0xae], 2, HostMxcsr);
        Bytes(0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3);
        _buffer.AsSpan(0, _length).CopyTo(new Span<byte>(_memory.WritePointer, StateOffset));
        ((delegate* unmanaged<void>)_memory.ExecutePointer)();
    }

    public void Dispose() => _memory.Dispose();

    private void MoveGeneral(byte opcode)
    {
        for (int n = 0; n < 16; n++)
        {
            if (n != 4)
            {
                RipRelative([(byte)(n < 8 ? 0x48 : 0x4c), opcode], n & 7, NativeState.GeneralOffset + (n * 8));
            }
        }
    }

    private void Bytes(params ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(_buffer.AsSpan(_length));
        _length += bytes.Length;
    }

    private void RipRelative(ReadOnlySpan<byte> opcode, int reg, int offset)
    {
        Bytes(opcode);
        Bytes((byte)((reg << 3) | 5));
        BinaryPrimitives.WriteInt32LittleEndian(_buffer.AsSpan(_length), StateOffset + offset - (_length + 4));
        _length += 4;
    }
}
