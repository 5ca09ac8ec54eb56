using System.Runtime.CompilerServices;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Fpu;

/// <summary>Executes the instructions of <see cref="VectorTable"/>: operands to pointers, then the stub.</summary>
internal static unsafe class VectorHandlers
{
    private const uint ExceptionMasks = 0x1f80;
    private const uint ExceptionFlags = 0x3f;
    private const uint UnderflowMask = 0x800;
    private const uint Underflow = 0x10;
    private const uint FlushToZero = 0x8000;
    private const uint BeforeComputation = 7;

    /// <summary>All operands are registers.</summary>
    public static bool Register<T>(ProcessorContext* c, Instruction* i)
        where T : IStubUse => Available<T>(c, i) && Execute<T>(c, i, (byte*)c + VectorOperands.Of(i)->Rm);

    /// <summary>The result goes to a general register as if to memory, the rest of which becomes zero.</summary>
    public static bool GeneralResult<T>(ProcessorContext* c, Instruction* i)
        where T : IStubUse
    {
        if (!Available<T>(c, i))
        {
            return false;
        }

        byte* register = (byte*)c + VectorOperands.Of(i)->Rm;
        *(ulong*)register = 0;
        return Execute<T>(c, i, register);
    }

    /// <summary>The r/m operand is memory that is read.</summary>
    public static bool Load<T>(ProcessorContext* c, Instruction* i)
        where T : IStubUse
    {
        return Available<T>(c, i) && Source(c, i, out byte* operand) && Execute<T>(c, i, operand);
    }

    /// <summary>The r/m operand is memory that is written.</summary>
    public static bool Store<T>(ProcessorContext* c, Instruction* i)
        where T : IStubUse
    {
        if (!Available<T>(c, i))
        {
            return false;
        }

        VectorOperands* operands = VectorOperands.Of(i);
        ulong offset = GuestAccess.EffectiveAddress(c, i);
        if (((offset + c->SegmentBase[i->Segment]) & operands->AlignmentMask) != 0)
        {
            return Misaligned(c, i, offset, write: true);
        }

        byte* target = GuestAccess.Writable(c, i->Segment, offset, operands->Size, out ulong linear, out bool faulted);
        if (target == null)
        {
            return !faulted && Execute<T>(c, i, c->Scratch) && MemoryUnit.StoreSlow(c, i->Segment, linear, c->Scratch, operands->Size);
        }

        if (!T.Mxcsr)
        {
            return Execute<T>(c, i, target);
        }

        // It may yet turn out to fault.
        if (!Execute<T>(c, i, c->Scratch))
        {
            return false;
        }

        Buffer.MemoryCopy(c->Scratch, target, operands->Size, operands->Size);
        return true;
    }

    /// <summary>VEX-encoded general-register instructions outside 64-bit mode: they exist in protected mode only.</summary>
    public static bool ProtectedRegister<T>(ProcessorContext* c, Instruction* i)
        where T : IStubUse => c->Protected ? Register<T>(c, i) : Fault.InvalidOpcode(c);

    /// <summary>The same with a memory operand.</summary>
    public static bool ProtectedLoad<T>(ProcessorContext* c, Instruction* i)
        where T : IStubUse => c->Protected ? Load<T>(c, i) : Fault.InvalidOpcode(c);

    /// <summary>A host address from which the memory operand can be read: guest RAM, or a copy in the scratch area.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool Source(ProcessorContext* c, Instruction* i, out byte* operand)
    {
        VectorOperands* operands = VectorOperands.Of(i);
        ulong offset = GuestAccess.EffectiveAddress(c, i);
        int size = operands->Size;
        operand = c->Scratch;
        if (((offset + c->SegmentBase[i->Segment]) & operands->AlignmentMask) != 0)
        {
            return Misaligned(c, i, offset, write: false);
        }

        if (!GuestAccess.Linear(c, i->Segment, offset, size, false, out ulong linear))
        {
            return false;
        }

        TlbEntry* entry = TlbEntry.ForRead(c->Tlb, linear);
        if (((linear + (ulong)(size - 1)) & ~0xfffUL) == entry->Tag)
        {
            // SAFETY: the tag says that all bytes lie in a page of guest RAM mapped at linear + addend.
            operand = (byte*)((nint)linear + entry->Addend);
            return true;
        }

        return MemoryUnit.LoadSlow(c, i->Segment, linear, operand, size);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool Available<T>(ProcessorContext* c, Instruction* i)
        where T : IStubUse
    {
        UnitGates needed = VectorOperands.Gates(i);
        if ((c->Gates & needed) != needed)
        {
            return UnitFaults.Unavailable(c, needed);
        }

        return !T.Mmx || !X87Image.IsErrorPending(c) || X87Errors.Signal(c);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool Execute<T>(ProcessorContext* c, Instruction* i, byte* rm)
        where T : IStubUse
    {
        VectorOperands* operands = VectorOperands.Of(i);
        if (T.Mmx)
        {
            MmxState.Enter(c);
        }

        if (T.FlagsIn)
        {
            c->StubFlags = Flags.GetStatus(c) | Flags.Reserved1;
        }

        if (T.Mxcsr)
        {
            if ((c->Mxcsr & ExceptionMasks) != ExceptionMasks)
            {
                if (!ExecuteUnmasked(c, i, rm))
                {
                    return false;
                }
            }
            else
            {
                c->MxcsrWork = c->Mxcsr & ~ExceptionFlags;
                Call(c, i, rm);
                c->Mxcsr |= c->MxcsrResult & ExceptionFlags;
            }
        }
        else
        {
            Call(c, i, rm);
        }

        if (T.FlagsOut)
        {
            Flags.SetStatus(c, (uint)c->StubFlags);
        }

        if (T.Mmx)
        {
            MmxState.Leave(c, operands->Vvvv);
        }

        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Call(ProcessorContext* c, Instruction* i, byte* rm)
    {
        // SAFETY: a stub of this instruction's form, with as many bytes behind each pointer as it touches.
        VectorOperands* operands = VectorOperands.Of(i);
        ((delegate* unmanaged[SuppressGCTransition]<ProcessorContext*, byte*, byte*, byte*, void>)i->Data)(
            c, rm, (byte*)c + operands->Reg, (byte*)c + operands->Vvvv);
    }

    /// <summary>
    /// The guest has exceptions unmasked: executes with all masked, and takes the results back if one of the unmasked was raised
    /// (Intel SDM volume 1, section 11.5.2).
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool ExecuteUnmasked(ProcessorContext* c, Instruction* i, byte* rm)
    {
        int length = ContextOffsets.General(16);
        byte* saved = stackalloc byte[length];
        Buffer.MemoryCopy(c, saved, length, length);
        c->MxcsrWork = (c->Mxcsr | ExceptionMasks) & ~ExceptionFlags;
        bool underflow = (c->Mxcsr & UnderflowMask) == 0;
        if (underflow)
        {
            // Flushing to zero is for masked underflow only.
            c->MxcsrWork &= ~FlushToZero;
        }

        Call(c, i, rm);
        uint raised = c->MxcsrResult & ExceptionFlags;
        if (underflow && (raised & Underflow) == 0)
        {
            // Unmasked, a tiny result counts even if it is exact. Masked, that shows only when it is flushed.
            raised |= ProbeTinyResult(c, i, rm, saved, length);
        }

        uint unmasked = raised & ~(c->Mxcsr >> 7);
        if (unmasked == 0)
        {
            c->Mxcsr |= raised;
            return true;
        }

        Buffer.MemoryCopy(saved, c, length, length);
        c->Mxcsr |= (unmasked & BeforeComputation) != 0 ? raised & BeforeComputation : raised;
        return UnitFaults.SimdException(c);
    }

    private static uint ProbeTinyResult(ProcessorContext* c, Instruction* i, byte* rm, byte* saved, int length)
    {
        const int Operand = 32;
        byte* results = stackalloc byte[length + Operand];
        ulong flags = c->StubFlags;
        Buffer.MemoryCopy(c, results, length, length);
        Buffer.MemoryCopy(c->Scratch, results + length, Operand, Operand);
        Buffer.MemoryCopy(saved, c, length, length);
        c->MxcsrWork |= FlushToZero;
        Call(c, i, rm);
        Buffer.MemoryCopy(results, c, length, length);
        Buffer.MemoryCopy(results + length, c->Scratch, Operand, Operand);
        c->StubFlags = flags;
        return c->MxcsrResult & Underflow;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool Misaligned(ProcessorContext* c, Instruction* i, ulong offset, bool write)
    {
        return GuestAccess.Linear(c, i->Segment, offset, VectorOperands.Of(i)->Size, write, out _) && Fault.GeneralProtection(c);
    }
}
