using System.Numerics;

namespace Lamina.SoftCpu.Translate;

/// <summary>
/// What compact translations call instead of writing the look into the TLB out: with the linear address in the address register, answering the host address there, or
/// leaving by the site exit. The other scratch registers and the flags are lost.
/// </summary>
internal readonly unsafe struct CheckRoutines
{
    private const int Sizes = 6;
    private readonly nint[] _routines;

    /// <param name="asm">Where the routines go.</param>
    /// <param name="misses">Where they go on if the first place they look at does not hold the page.</param>
    public CheckRoutines(ref HostAssembler asm, MissRoutines misses)
    {
        _routines = new nint[4 * Sizes];
        for (int n = 0; n < Sizes; n++)
        {
            foreach (bool write in (ReadOnlySpan<bool>)[false, true])
            {
                _routines[Index(1 << n, write, stack: false)] = (nint)Emit(ref asm, 1 << n, write, MissRoutines.NoSlot, misses);
                _routines[Index(1 << n, write, stack: true)] = (nint)Emit(ref asm, 1 << n, write, MissRoutines.Stack, misses);
            }
        }
    }

    /// <summary>Whether there is a routine for accesses of a size.</summary>
    public static bool Has(int size) => size <= 1 << (Sizes - 1) && BitOperations.IsPow2(size);

    /// <summary>The routine for an access.</summary>
    public byte* Of(int size, bool write, bool stack) => (byte*)_routines[Index(size, write, stack)];

    /// <summary>What a routine is for, if it is one.</summary>
    public bool TryFind(byte* routine, out int size, out bool write)
    {
        int index = Array.IndexOf(_routines, (nint)routine);
        size = 1 << (index >> 2);
        write = (index & 1) != 0;
        return index >= 0;
    }

    /// <summary>
    /// Writes the look at a place: the first level of the TLB, or a slot. Answers the place of a jump taken if it does not hold the page, and that of another one (or -1) taken if
    /// the access begins in the page before.
    /// </summary>
    /// <remarks>
    /// What is compared is the page of the last byte. An entry of the TLB was found by the first byte, and cannot be that of the next page. A slot can: there the first byte is compared
    /// too. As signed numbers, so that the last page of the address space lies before the first.
    /// </remarks>
    public static (int Missed, int Crossed) EmitLook(ref HostAssembler asm, int size, bool write, int slot)
    {
        if (slot == MissRoutines.NoSlot)
        {
            asm.Move(Host.Temporary, Host.Address);
            asm.RegisterForm(0xc1, 5, Host.Temporary, true); // SHR
            asm.Byte(ContextLayout.TlbShift);
            asm.RegisterForm(0x81, 4, Host.Temporary, false); // AND
            asm.Dword(ContextLayout.TlbMask);
            asm.ContextForm(0x03, Host.Temporary, ContextLayout.Tlb, true); // ADD
        }

        if (size > 1)
        {
            asm.Lea(Host.Value, Host.Address, -1, 0, size - 1);
        }
        else
        {
            asm.Move(Host.Value, Host.Address);
        }

        asm.RegisterForm(0x81, 4, Host.Value, true); // AND
        asm.Dword(-4096);
        if (slot == MissRoutines.NoSlot)
        {
            asm.MemoryForm(0x3b, Host.Value, Host.Temporary, write ? ContextLayout.WriteTag : 0, true); // CMP
            return (asm.JumpIf(5), -1);
        }

        asm.ContextForm(0x3b, Host.Value, ContextLayout.Slot(slot), true);
        int missed = asm.JumpIf(5);
        if (size == 1)
        {
            return (missed, -1);
        }

        asm.RegisterForm(0x3b, Host.Address, Host.Value, true);
        return (missed, asm.JumpIf(12)); // JL
    }

    /// <summary>Behind a look that found the page: the host address.</summary>
    public static void EmitHostAddress(ref HostAssembler asm, bool write, int slot)
    {
        if (slot == MissRoutines.NoSlot)
        {
            asm.MemoryForm(0x03, Host.Address, Host.Temporary, (write ? ContextLayout.WriteTag : 0) + ContextLayout.Addend, true); // ADD
        }
        else
        {
            asm.ContextForm(0x03, Host.Address, ContextLayout.Slot(slot) + ContextLayout.Addend, true);
        }
    }

    private static int Index(int size, bool write, bool stack) => (4 * BitOperations.Log2((uint)size)) + (stack ? 2 : 0) + (write ? 1 : 0);

    private static byte* Emit(ref HostAssembler asm, int size, bool write, int slot, MissRoutines misses)
    {
        asm.Align(16);
        byte* start = asm.Here;
        (int missed, int crossed) = EmitLook(ref asm, size, write, slot);
        EmitHostAddress(ref asm, write, slot);
        asm.Return();
        asm.Bind(missed);
        if (crossed >= 0)
        {
            asm.Bind(crossed);
        }

        asm.Jump(misses.Of(slot, write));
        return start;
    }
}
