namespace Lamina.SoftCpu.Translate;

/// <summary>
/// Where translated code goes when the place it looked at first does not hold the page: the other levels of the TLB are looked at, and what is found is copied to that
/// place. Called with the linear address in the address register and the page of the last byte in the value register; returns with the host address in the
/// address register, or leaves by the site exit. Those for windows always return, with the zero flag set if the page was found.
/// </summary>
internal readonly unsafe struct MissRoutines
{
    /// <summary>No slot: the first level was looked at.</summary>
    public const int NoSlot = -1;

    /// <summary>The slot of the stack's page, for reads and writes: it holds an entry for writes.</summary>
    public const int Stack = 0;

    private readonly nint[] _routines;
    private readonly nint[] _windows;

    /// <param name="asm">Where the routines go.</param>
    /// <param name="siteExit">Where they go if no level knows the page.</param>
    public MissRoutines(ref HostAssembler asm, byte* siteExit)
    {
        _routines = new nint[2 * (ProcessorContext.SlotCount + 1)];
        _windows = new nint[_routines.Length];
        for (int slot = NoSlot; slot < ProcessorContext.SlotCount; slot++)
        {
            foreach (bool write in (ReadOnlySpan<bool>)[false, true])
            {
                if (slot <= Stack || slot > ProcessorContext.LoopReads == write)
                {
                    _routines[Index(slot, write)] = (nint)Emit(ref asm, slot, write, siteExit);
                    _windows[Index(slot, write)] = (nint)Emit(ref asm, slot, write, null);
                }
            }
        }
    }

    /// <summary>The routine for a place that was looked at first.</summary>
    public byte* Of(int slot, bool write) => (byte*)_routines[Index(slot, write)];

    /// <summary>The routine for a window over several accesses.</summary>
    public byte* OfWindow(int slot, bool write) => (byte*)_windows[Index(slot, write)];

    /// <summary>What a routine is for, if it is one.</summary>
    public bool TryFind(byte* routine, out int slot, out bool write, out bool window)
    {
        int index = Array.IndexOf(_routines, (nint)routine);
        window = index < 0;
        index = window ? Array.IndexOf(_windows, (nint)routine) : index;
        slot = (index / 2) - 1;
        write = (index & 1) != 0;
        return index >= 0 && routine != null;
    }

    private static int Index(int slot, bool write) => (2 * (slot + 1)) + (write ? 1 : 0);

    // Without a site exit: for a window.
    private static byte* Emit(ref HostAssembler asm, int slot, bool write, byte* siteExit)
    {
        bool window = siteExit == null;
        asm.Align(16);
        byte* start = asm.Here;
        asm.Byte(0x50); // PUSH RAX
        asm.Move(Host.Rax, Host.Address);
        asm.RegisterForm(0x81, 4, Host.Rax, true); // AND
        asm.Dword(-4096);
        asm.RegisterForm(0x3b, Host.Rax, Host.Value, true); // CMP: an access to two pages is for the interpreter
        int crossing = asm.JumpIf(5);
        if (slot != NoSlot)
        {
            asm.Move(Host.Temporary, Host.Address);
            asm.RegisterForm(0xc1, 5, Host.Temporary, true); // SHR
            asm.Byte(ContextLayout.TlbShift);
            asm.RegisterForm(0x81, 4, Host.Temporary, false); // AND
            asm.Dword(ContextLayout.TlbMask);
            asm.ContextForm(0x03, Host.Temporary, ContextLayout.Tlb, true); // ADD
        }

        // The set in the second level.
        asm.Move(Host.Rax, Host.Address);
        asm.RegisterForm(0xc1, 5, Host.Rax, true); // SHR
        asm.Byte(ContextLayout.SecondMix);
        asm.RegisterForm(0x33, Host.Rax, Host.Address, true); // XOR
        asm.RegisterForm(0xc1, 5, Host.Rax, true); // SHR
        asm.Byte(ContextLayout.SecondShift);
        asm.RegisterForm(0x81, 4, Host.Rax, false); // AND
        asm.Dword(ContextLayout.SecondMask);
        asm.ContextForm(0x03, Host.Rax, ContextLayout.Tlb, true); // ADD

        int missed;
        if (slot == Stack && !write)
        {
            // Read-only for now: the entry serves, but not as the slot's.
            missed = EmitSearch(ref asm, slot, true, window);
            asm.Bind(missed);
            missed = EmitSearch(ref asm, slot, false, window, keep: false);
        }
        else
        {
            missed = EmitSearch(ref asm, slot, write, window);
        }

        asm.Bind(missed);
        asm.Bind(crossing);
        asm.Byte(0x58); // POP RAX
        if (window)
        {
            asm.RegisterForm(0x85, Host.Rsp, Host.Rsp, true); // TEST
            asm.Return();
        }
        else
        {
            asm.Jump(siteExit);
        }

        return start;
    }

    // Looks at both levels; answers the place of a jump taken if neither holds the page. The temporary register holds the first level's entry, RAX the second level's set.
    private static int EmitSearch(ref HostAssembler asm, int slot, bool write, bool window, bool keep = true)
    {
        int tag = write ? ContextLayout.WriteTag : 0;
        int second = write ? ContextLayout.SecondWrites : ContextLayout.SecondLevel;
        int first = -1;
        if (slot != NoSlot)
        {
            asm.MemoryForm(0x3b, Host.Value, Host.Temporary, tag, true); // CMP
            int elsewhere = asm.JumpIf(5);
            asm.MemoryForm(0x8b, Host.Rax, Host.Temporary, tag + ContextLayout.Addend, true);
            first = asm.JumpForward();
            asm.Bind(elsewhere);
        }

        asm.MemoryForm(0x3b, Host.Value, Host.Rax, second, true);
        int otherWay = asm.JumpIf(5);
        asm.MemoryForm(0x8b, Host.Rax, Host.Rax, second + ContextLayout.Addend, true);
        int found = asm.JumpForward();
        asm.Bind(otherWay);
        asm.MemoryForm(0x3b, Host.Value, Host.Rax, second + 16, true);
        int missed = asm.JumpIf(5);
        asm.MemoryForm(0x8b, Host.Rax, Host.Rax, second + 16 + ContextLayout.Addend, true);
        asm.Bind(found);
        asm.MemoryForm(0x89, Host.Rax, Host.Temporary, tag + ContextLayout.Addend, true);
        asm.MemoryForm(0x89, Host.Value, Host.Temporary, tag, true);
        if (first >= 0)
        {
            asm.Bind(first);
        }

        if (slot != NoSlot && keep)
        {
            asm.StoreContext(Host.Value, ContextLayout.Slot(slot));
            asm.StoreContext(Host.Rax, ContextLayout.Slot(slot) + ContextLayout.Addend);
        }

        asm.RegisterForm(0x03, Host.Address, Host.Rax, true); // ADD
        asm.Byte(0x58); // POP RAX
        if (window)
        {
            asm.RegisterForm(0x3b, Host.Value, Host.Value, true); // CMP
        }

        asm.Return();
        return missed;
    }
}
