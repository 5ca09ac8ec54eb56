using System.Runtime.CompilerServices;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Fpu;

/// <summary>Executes x87 instructions that compute: the image is loaded, the instruction executed and the image stored again, all in the stub.</summary>
internal static unsafe class X87Handlers
{
    private const uint HostMxcsr = 0x1f80;
    private const ushort ExceptionFlags = 0x3f;
    private const ushort Summary = 0x8080;

    // Invalid operation, overflow, underflow.
    private const ushort KeepsFromStoring = 0x19;
    private const ulong NumericError = 0x20;

    /// <summary>Registers only.</summary>
    public static bool Register(ProcessorContext* c, Instruction* i)
    {
        if (!Ready(c))
        {
            return false;
        }

        Execute(c, i, c->Scratch);
        return true;
    }

    /// <summary>Registers and RFLAGS.</summary>
    public static bool RegisterFlags(ProcessorContext* c, Instruction* i)
    {
        if (!Ready(c))
        {
            return false;
        }

        c->StubFlags = Flags.GetStatus(c) | Flags.Reserved1;
        Execute(c, i, c->Scratch);
        Flags.SetStatus(c, (uint)c->StubFlags);
        return true;
    }

    /// <summary>Reads memory.</summary>
    public static bool Load(ProcessorContext* c, Instruction* i)
    {
        if (!Ready(c))
        {
            return false;
        }

        ulong offset = GuestAccess.EffectiveAddress(c, i);
        int size = (int)i->Immediate;
        if (!GuestAccess.LoadBytes(c, i->Segment, offset, c->Scratch, size, FirstPart(size)))
        {
            return false;
        }

        Execute(c, i, c->Scratch);
        X87Image.DataAddress(c) = offset;
        return true;
    }

    /// <summary>Writes memory, unless an unmasked exception keeps it from that.</summary>
    public static bool Store(ProcessorContext* c, Instruction* i)
    {
        if (!Ready(c))
        {
            return false;
        }

        // Popping cannot be undone: the operand must be writable first.
        int size = (int)i->Immediate;
        ulong offset = GuestAccess.EffectiveAddress(c, i);
        byte* target = GuestAccess.WritableInParts(c, i->Segment, offset, size, FirstPart(size), out ulong linear, out bool faulted);
        if (faulted)
        {
            return false;
        }

        Execute(c, i, c->Scratch);
        bool stored = (X87Image.Status(c) & ~X87Image.Control(c) & KeepsFromStoring) == 0 || IgnoresErrors(c);
        X87Image.DataAddress(c) = offset;
        if (!stored)
        {
            return true;
        }

        if (target == null)
        {
            return MemoryUnit.StoreSlow(c, i->Segment, linear, c->Scratch, size);
        }

        Buffer.MemoryCopy(c->Scratch, target, size, size);
        return true;
    }

    /// <summary>The unit is there and has no exception to report.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Ready(ProcessorContext* c)
    {
        if ((c->Gates & UnitGates.X87) == 0)
        {
            return Fault.DeviceNotAvailable(c);
        }

        return !X87Image.IsErrorPending(c) || X87Errors.Signal(c);
    }

    private static void Execute(ProcessorContext* c, Instruction* i, byte* memory)
    {
        // The host must not see a pending exception, nor the guest a host address.
        ref ushort status = ref X87Image.Status(c);
        ushort ignored = X87Image.IsErrorPending(c) ? (ushort)(status & ExceptionFlags) : (ushort)0;
        if ((status & Summary) != 0)
        {
            status = (ushort)(status & ~(ignored | Summary));
        }

        // FXRSTOR waits long for stores that it cannot forward: write only what changes.
        uint* mxcsr = (uint*)(c->X87Image + X87Image.Mxcsr);
        if (*mxcsr != HostMxcsr)
        {
            *mxcsr = HostMxcsr;
        }

        // SAFETY: an x87 stub touches the image and at most 16 bytes of scratch.
        ((delegate* unmanaged[SuppressGCTransition]<ProcessorContext*, byte*, void>)i->Data)(c, memory);
        X87Image.InstructionAddress(c) = c->Rip;
        X87Image.Opcode(c) = (ushort)(((i->Opcode & 7) << 8) | i->ModRm);
        if (ignored != 0)
        {
            status |= ignored;
            X87Image.Summarize(c);
        }
    }

    // 80 bits are two accesses, of 8 bytes and of 2.
    private static int FirstPart(int size) => Math.Min(size, sizeof(ulong));

    private static bool IgnoresErrors(ProcessorContext* c) => (c->Cr0 & NumericError) == 0 && c->FloatingPointErrorPin == null;
}
