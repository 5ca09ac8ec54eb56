using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Lamina.SoftCpu.Tests.Machines;

namespace Lamina.SoftCpu.Tests.Execute;

/// <summary>
/// Executes one integer instruction on this host's processor, in 64-bit or in 32-bit code, with all general registers, RSP included, and the flags
/// given. The instruction's address is <see cref="Slot"/>.
/// </summary>
internal sealed unsafe partial class NativeIntegers : IDisposable
{
    private const int SlotSize = 16;
    private const int SignalSetSize = 128;
    private const int SetMask = 2;
    private const int StateOffset = 0x2000;
    private const int HostStackOffset = 0x2100;
    private const int EnterOffset = 0x2110;
    private const int LeaveOffset = 0x2118;
    private const int StackTop = 0x10000;
    private const int Size = 0x10000;
    private readonly LowMemory _memory = new(Size);
    private readonly int _slot;
    private int _length;

    public NativeIntegers(int codeSize)
    {
        Assert.SkipUnless(codeSize == 8 || HasCode32(), "this host's kernel has no code segment for 32-bit programs");
        Bytes(0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57);
        RipRelative([0x48, 0x89], 4, HostStackOffset);
        _slot = codeSize == 8 ? Write64() : Write32();
        RipRelative([0x48, 0x8b], 4, HostStackOffset);
        if (codeSize == 8)
        {
            Bytes(0x9c);
            RipRelative([0x8f], 0, StateOffset + 128); // pop
        }
        else
        {
            Bytes(0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0); // xor eax, eax; mov ds, eax; mov es, eax
        }

        Bytes(0xfc, 0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3);
    }

    /// <summary>Where the instruction lies.</summary>
    public ulong Slot => _memory.Address + (ulong)_slot;

    /// <summary>The registers before and after.</summary>
    public IntegerState* State => (IntegerState*)(_memory.Pointer + StateOffset);

    public void Run(ReadOnlySpan<byte> instruction)
    {
        Span<byte> slot = new(_memory.Pointer + _slot, SlotSize);
        slot.Fill(0x90);
        instruction.CopyTo(slot);

        // RSP is the test's: no signal handler may run on it.
        byte* all = stackalloc byte[SignalSetSize];
        byte* old = stackalloc byte[SignalSetSize];
        new Span<byte>(all, SignalSetSize).Fill(0xff);
        _ = SetSignalMask(SetMask, all, old);
        ((delegate* unmanaged<void>)_memory.Pointer)();
        _ = SetSignalMask(SetMask, old, null);
    }

    public void Dispose() => _memory.Dispose();

    [LibraryImport("libc", EntryPoint = "pthread_sigmask")]
    private static partial int SetSignalMask(int how, byte* set, byte* old);

    // LAR of the selector that Linux gives 32-bit programs: a present 32-bit code segment, or nothing of the kind.
    private bool HasCode32()
    {
        const uint presentCode32 = 0x40_9800;
        ReadOnlySpan<byte> loadAccessRights = [0xb9, 0x23, 0, 0, 0, 0x31, 0xc0, 0x0f, 0x02, 0xc1, 0xc3]; // mov ecx, 23; xor eax, eax; lar eax, ecx; ret
        loadAccessRights.CopyTo(new Span<byte>(_memory.Pointer, loadAccessRights.Length));
        uint rights = ((delegate* unmanaged<uint>)_memory.Pointer)();
        return (rights & presentCode32) == presentCode32;
    }

    private int Write64()
    {
        RipRelative([0xff], 6, StateOffset + 128); // push
        Bytes(0x9d);
        Move64(0x8b);
        int slot = _length;
        _length += SlotSize;
        Move64(0x89);
        return slot;
    }

    private int Write32()
    {
        RipRelative([0xff], 5, EnterOffset); // jmp far
        Far(EnterOffset, 0x23);
        Bytes(0xb8, 0x2b, 0, 0, 0, 0x8e, 0xd8, 0x8e, 0xc0, 0xbc); // mov eax, 2b; mov ds, eax; mov es, eax; mov esp, stack
        Absolute(StackTop);
        Bytes(0xff, 0x35); // push
        Absolute(StateOffset + 128);
        Bytes(0x9d);
        Move32(0x8b);
        int slot = _length;
        _length += SlotSize;
        Move32(0x89);
        Bytes(0xbc);
        Absolute(StackTop);
        Bytes(0x9c, 0x8f, 0x05); // pop
        Absolute(StateOffset + 128);
        Bytes(0xff, 0x2d); // jmp far
        Absolute(LeaveOffset);
        Far(LeaveOffset, 0x33);
        return slot;
    }

    private void Far(int pointer, ushort selector)
    {
        *(uint*)(_memory.Pointer + pointer) = (uint)(_memory.Address + (ulong)_length);
        *(ushort*)(_memory.Pointer + pointer + 4) = selector;
    }

    private void Move64(byte opcode)
    {
        for (int n = 0; n < 16; n++)
        {
            RipRelative([(byte)(n < 8 ? 0x48 : 0x4c), opcode], n & 7, StateOffset + (n * 8));
        }
    }

    private void Move32(byte opcode)
    {
        for (int n = 0; n < 8; n++)
        {
            Bytes(opcode, (byte)((n << 3) | 5));
            Absolute(StateOffset + (n * 8));
        }
    }

    private void Bytes(params ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(new Span<byte>(_memory.Pointer + _length, 64));
        _length += bytes.Length;
    }

    private void Absolute(int offset)
    {
        *(uint*)(_memory.Pointer + _length) = (uint)(_memory.Address + (ulong)offset);
        _length += 4;
    }

    private void RipRelative(ReadOnlySpan<byte> opcode, int reg, int offset)
    {
        Bytes(opcode);
        Bytes((byte)((reg << 3) | 5));
        BinaryPrimitives.WriteInt32LittleEndian(new Span<byte>(_memory.Pointer + _length, 4), offset - (_length + 4));
        _length += 4;
    }
}
