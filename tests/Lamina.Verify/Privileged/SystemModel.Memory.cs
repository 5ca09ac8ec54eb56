using System.Buffers.Binary;
using Iced.Intel;

namespace Lamina.Verify.Privileged;

/// <summary>Segmentation (Intel SDM volume 3, chapters 3 and 5) and paging (chapter 4).</summary>
internal sealed partial class SystemModel
{
    private const ulong Present = 1;
    private const ulong Writable = 2;
    private const ulong UserPage = 4;
    private const ulong AccessedBit = 0x20;
    private const ulong DirtyBit = 0x40;
    private const ulong Large = 0x80;
    private const ulong NoExecute = 1UL << 63;
    private const ulong FrameMask = 0x000f_ffff_ffff_f000;
    private const int PhysicalBits = 40;
    private const ulong ReservedFrame = (1UL << 52) - (1UL << PhysicalBits);

    private readonly List<(int Address, byte Old, bool WasLoose)> _journal = [];
    private readonly bool[] _loose = new bool[MachineImage.MemorySize];
    private readonly List<int> _looseList = [];
    private readonly PageWalk _walk = new();
    private bool _pushesFrame;

    private enum Access
    {
        Read,
        Write,
        Execute,
    }

    /// <summary>Whether a byte of memory was written by what an exception ended: the manuals do not say how much of that is done.</summary>
    public bool IsLoose(int address) => _loose[address];

    private void BeginMemory()
    {
        foreach (int address in _looseList)
        {
            _loose[address] = false;
        }

        _looseList.Clear();
        _journal.Clear();
        if ((this[MachineRegister.Cr4] & 0x20) != 0 && !_m.IsLong)
        {
            LoadPointers(this[MachineRegister.Cr3]);
        }
    }

    private void CommitMemory() => _journal.Clear();

    private void UndoMemory()
    {
        for (int n = _journal.Count - 1; n >= 0; n--)
        {
            (int address, byte old, _) = _journal[n];
            _m.Memory[address] = old;
            _loose[address] = true;
            _looseList.Add(address);
        }

        _journal.Clear();
    }

    /// <summary>Physical address of the instruction behind the case, or null if it cannot be fetched. Nothing is marked as accessed.</summary>
    public ulong? FindNext()
    {
        const int length = 3;
        _journal.Clear();
        try
        {
            SegmentImage code = _m.Segments[MachineImage.Cs];
            bool is64 = _m.Is64;
            bool isInside = is64 ? IsCanonical(_m.Rip) : _m.Rip + length - 1 <= code.Limit && code.IsUsable;
            ulong physical = Translate(is64 ? _m.Rip : (uint)(code.Base + _m.Rip), Access.Execute, _m.Cpl == 3, isExplicit: true);
            return isInside ? physical : null;
        }
        catch (Exception e) when (e is ArchitecturalFault or UnjudgedCase)
        {
            return null;
        }
        finally
        {
            foreach ((int address, byte old, bool wasLoose) in _journal)
            {
                _m.Memory[address] = old;
                _loose[address] = wasLoose;
            }

            _journal.Clear();
        }
    }

    private byte ReadPhysical(ulong address) => address < MachineImage.MemorySize ? _m.Memory[(int)address] : (byte)0xff;

    private ulong ReadTable(ulong address, int size)
    {
        if (address + (ulong)size > MachineImage.MemorySize)
        {
            throw new UnjudgedCase("a page table where no memory is");
        }

        ReadOnlySpan<byte> bytes = _m.Memory.AsSpan((int)address);
        return size == 8 ? BinaryPrimitives.ReadUInt64LittleEndian(bytes) : BinaryPrimitives.ReadUInt32LittleEndian(bytes);
    }

    private void WritePhysical(ulong address, byte value)
    {
        if (address < MachineImage.MemorySize)
        {
            int at = (int)address;
            _journal.Add((at, _m.Memory[at], _loose[at]));
            _m.Memory[at] = value;

            // Of a byte of a page table only bits are written.
            _loose[at] &= at < SystemLayout.Gdt;
        }
    }

    // Volume 3, section 4.4.1: PAE paging has its first four entries in the processor.
    private bool LoadPointers(ulong cr3)
    {
        ulong address = cr3 & 0xffff_ffe0;
        Span<ulong> entries = stackalloc ulong[4];
        for (int n = 0; n < 4; n++)
        {
            if (address + 32 > MachineImage.MemorySize)
            {
                throw new UnjudgedCase("page-directory pointers where no memory is");
            }

            entries[n] = ReadTable(address + ((ulong)n * 8), 8);
            const ulong reserved = ReservedFrame | 0xfff0_0000_0000_01e6;
            if ((entries[n] & Present) != 0 && (entries[n] & reserved) != 0)
            {
                return false;
            }
        }

        entries.CopyTo(_pointers);
        return true;
    }

    // Volume 3, sections 4.3 to 4.7. Accessed and dirty flags are set where the access is allowed.
    private ulong Translate(ulong linear, Access access, bool user, bool isExplicit)
    {
        if ((this[MachineRegister.Cr0] >> 31) == 0)
        {
            return (uint)linear;
        }

        bool executeDisable = (this[MachineRegister.Efer] & 0x800) != 0 && (this[MachineRegister.Cr4] & 0x20) != 0;
        uint code = (access == Access.Write ? 2u : 0) | (user ? 4u : 0) | (access == Access.Execute && (executeDisable || (this[MachineRegister.Cr4] & (1 << 20)) != 0) ? 16u : 0);
        PageWalk walk = _walk;
        Walk(linear, walk);
        if (_isProgram)
        {
            RequireSettled(linear, walk, access);
        }

        if (!walk.IsPresent)
        {
            throw new ArchitecturalFault(ArchitecturalFault.Page, code, linear);
        }

        if (walk.IsReserved)
        {
            throw new ArchitecturalFault(ArchitecturalFault.Page, code | 9, linear);
        }

        if (!IsAllowed(access, user, isExplicit, walk.IsUser, walk.IsWritable, walk.NoExecute))
        {
            throw new ArchitecturalFault(ArchitecturalFault.Page, code | 1, linear);
        }

        for (int n = walk.Top; n >= walk.Level; n--)
        {
            ulong wanted = walk.Entries[n] | AccessedBit | (n == walk.Level && access == Access.Write ? DirtyBit : 0);
            if (wanted != walk.Entries[n])
            {
                WritePhysical(walk.Addresses[n], (byte)wanted);
                walk.Entries[n] = wanted;
            }
        }

        if (_isProgram)
        {
            Keep(linear, walk);
        }

        return walk.Frame | (linear & (walk.Size - 1));
    }

    // The entries that translate an address, down to the first that is not present, or has reserved bits set.
    private void Walk(ulong linear, PageWalk walk)
    {
        ulong cr4 = this[MachineRegister.Cr4];
        bool pae = (cr4 & 0x20) != 0;
        bool executeDisable = (this[MachineRegister.Efer] & 0x800) != 0 && pae;
        int size = pae ? 8 : 4;
        int bits = pae ? 9 : 10;
        ulong table;
        int level;
        ulong reservedAlways = pae ? ReservedFrame | (executeDisable ? 0 : NoExecute) : 0;
        walk.IsPresent = false;
        walk.IsReserved = false;
        if (_m.IsLong)
        {
            level = 3;
            table = this[MachineRegister.Cr3] & FrameMask;
        }
        else if (pae)
        {
            level = 1;
            ulong pointer = _pointers[(int)(linear >> 30) & 3];
            table = pointer & FrameMask;
            reservedAlways |= 0x7ff0_0000_0000_0000;
            if ((pointer & Present) == 0)
            {
                walk.Top = level;
                walk.Level = level + 1;
                return;
            }
        }
        else
        {
            level = 1;
            table = this[MachineRegister.Cr3] & 0xffff_f000;
        }

        walk.Top = level;
        ulong rights = Writable | UserPage;
        walk.NoExecute = false;
        while (true)
        {
            ulong index = (linear >> (12 + (bits * level))) & ((1UL << bits) - 1);
            ulong address = table + (index * (ulong)size);
            ulong entry = ReadTable(address, size);
            walk.Addresses[level] = address;
            walk.Entries[level] = entry;
            walk.Level = level;
            if ((entry & Present) == 0)
            {
                return;
            }

            bool isLarge = level is 1 or 2 && (entry & Large) != 0 && (pae || (cr4 & 0x10) != 0);
            ulong reserved = reservedAlways;
            if (level == 3)
            {
                reserved |= Large;
            }
            else if (isLarge && pae)
            {
                reserved |= ((1UL << (12 + (9 * level))) - 1) & ~0x1fffUL;
            }
            else if (isLarge)
            {
                // Bits 20:13 are the frame's bits 39:32; all 40 are there.
                reserved |= 1UL << 21;
            }

            if ((entry & reserved) != 0)
            {
                walk.IsPresent = true;
                walk.IsReserved = true;
                return;
            }

            rights &= entry;
            walk.NoExecute |= pae && (entry & NoExecute) != 0;
            if (level == 0 || isLarge)
            {
                break;
            }

            table = pae ? entry & FrameMask : entry & 0xffff_f000;
            level--;
        }

        walk.IsPresent = true;
        walk.IsUser = (rights & UserPage) != 0;
        walk.IsWritable = (rights & Writable) != 0;
        walk.Size = 1UL << (12 + (bits * level));
        ulong leaf = walk.Entries[level];
        walk.Frame = !pae && level == 1
            ? (((leaf >> 13) & 0xff) << 32) | (leaf & 0xffc0_0000)
            : leaf & (pae ? FrameMask : 0xffff_f000) & ~(walk.Size - 1);
    }

    // Volume 3, section 4.6.1.
    private bool IsAllowed(Access access, bool user, bool isExplicit, bool isUserPage, bool isWritable, bool noExecute)
    {
        ulong cr4 = this[MachineRegister.Cr4];
        if (user && !isUserPage)
        {
            return false;
        }

        if (access == Access.Execute)
        {
            return !noExecute && (user || !isUserPage || (cr4 & (1 << 20)) == 0);
        }

        if (_pushesFrame && !user && isUserPage && (cr4 & (1 << 21)) != 0 && (_m.Flags & AlignmentCheck) != 0)
        {
            throw new UnjudgedCase("a frame in user pages that RFLAGS.AC opens");
        }

        if (!user && isUserPage && (cr4 & (1 << 21)) != 0 && !(isExplicit && (_m.Flags & AlignmentCheck) != 0))
        {
            return false;
        }

        return access == Access.Read || isWritable || (!user && (this[MachineRegister.Cr0] & 0x1_0000) == 0);
    }

    // Both pages of an access are looked at before it is done.
    private void Locate(ulong linear, int size, Access access, bool user, bool isExplicit, Span<ulong> physical)
    {
        linear = Narrow(linear);
        int first = Math.Min(size, 0x1000 - (int)(linear & 0xfff));
        ulong at = Translate(linear, access, user, isExplicit);
        ulong then = first < size ? Translate(Narrow(linear + (ulong)first), access, user, isExplicit) : 0;
        for (int n = 0; n < size; n++)
        {
            physical[n] = n < first ? at + (ulong)n : then + (ulong)(n - first);
        }
    }

    private ulong Narrow(ulong linear) => _m.IsLong ? linear : (uint)linear;

    private void Load(ulong linear, Span<byte> bytes, bool user, bool isExplicit)
    {
        Span<ulong> physical = stackalloc ulong[128];
        Locate(linear, bytes.Length, Access.Read, user, isExplicit, physical);
        for (int n = 0; n < bytes.Length; n++)
        {
            bytes[n] = ReadPhysical(physical[n]);
            if (_isProgram && physical[n] < MachineImage.MemorySize && _loose[(int)physical[n]])
            {
                throw new UnjudgedCase("what an exception left half written is read");
            }
        }
    }

    private void Store(ulong linear, ReadOnlySpan<byte> bytes, bool user, bool isExplicit)
    {
        Span<ulong> physical = stackalloc ulong[128];
        Locate(linear, bytes.Length, Access.Write, user, isExplicit, physical);
        Write(linear, bytes, physical);
    }

    // Both pages have been found.
    private void Write(ulong linear, ReadOnlySpan<byte> bytes, ReadOnlySpan<ulong> physical)
    {
        if (_isProgram)
        {
            NoteStore(linear, physical[..bytes.Length]);
        }

        for (int n = 0; n < bytes.Length; n++)
        {
            if (physical[n] < SystemLayout.Gdt && !_isProgram)
            {
                throw new UnjudgedCase("page tables that are written");
            }

            WritePhysical(physical[n], bytes[n]);
        }
    }

    // Descriptor tables and task-state segments: supervisor accesses at any CPL, which RFLAGS.AC does not open user pages to.
    private ulong LoadSystem(ulong linear, int size)
    {
        Span<byte> bytes = stackalloc byte[8];
        bytes.Clear();
        RequireCanonical(linear, size);
        Load(linear, bytes[..size], user: false, isExplicit: false);
        return BinaryPrimitives.ReadUInt64LittleEndian(bytes);
    }

    private void StoreSystem(ulong linear, ulong value, int size)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        RequireCanonical(linear, size);
        Store(linear, bytes[..size], user: false, isExplicit: false);
    }

    private void RequireCanonical(ulong linear, int size)
    {
        if (_m.IsLong && !(IsCanonical(linear) && IsCanonical(linear + (ulong)size - 1)))
        {
            throw ArchitecturalFault.Gp();
        }
    }

    // Volume 3, sections 3.3.7.1, 5.3 and 5.4: the linear address of a part of a segment.
    private ulong Linear(int segment, ulong offset, int size, bool write)
    {
        SegmentImage s = _m.Segments[segment];
        if (_m.Is64)
        {
            ulong linear = offset + (segment is MachineImage.Fs or MachineImage.Gs ? s.Base : 0);
            return IsCanonical(linear) && IsCanonical(linear + (ulong)size - 1) ? linear : throw SegmentFault(segment);
        }

        uint at = (uint)offset;
        return IsInside(s, at, size) && HasRight(s, write) ? Narrow((uint)(s.Base + at)) : throw SegmentFault(segment);
    }

    private bool HasRight(in SegmentImage s, bool write)
    {
        return !_m.IsProtected || (s.IsUsable && (write ? !s.IsCode && s.HasSecondRight : !s.IsCode || s.HasSecondRight));
    }

    private static bool IsInside(in SegmentImage s, uint offset, int size)
    {
        ulong last = (ulong)offset + (ulong)size - 1;
        return s.IsExpandDown ? offset > s.Limit && last <= (s.IsBig ? uint.MaxValue : 0xffff) : last <= s.Limit;
    }

    private static ArchitecturalFault SegmentFault(int segment) => new(segment == MachineImage.Ss ? ArchitecturalFault.Stack : ArchitecturalFault.Protection, 0);

    private void LoadOperand(int segment, ulong offset, Span<byte> bytes, int alignment = 0)
    {
        ulong linear = Linear(segment, offset, bytes.Length, write: false);
        RequireAligned(linear, bytes.Length, alignment, Access.Read);
        Load(linear, bytes, _m.Cpl == 3, isExplicit: true);
    }

    private bool ChecksAlignment => _m.Cpl == 3 && (_m.Flags & AlignmentCheck) != 0 && (this[MachineRegister.Cr0] & 0x4_0000) != 0;

    // Volume 3, section 6.15, #AC, and table 6-7. Whether a page fault comes before it, the manual leaves open.
    private void RequireAligned(ulong linear, int size, int alignment, Access access)
    {
        alignment = alignment != 0 ? alignment : size is 2 or 4 or 8 ? size : 1;
        if (ChecksAlignment && (linear & (ulong)(alignment - 1)) != 0)
        {
            RequireTouched(linear, size, access, user: true, isExplicit: true);
            throw new ArchitecturalFault(ArchitecturalFault.Alignment, 0);
        }
    }

    private ulong LoadOperand(int segment, ulong offset, int size)
    {
        Span<byte> bytes = stackalloc byte[8];
        bytes.Clear();
        LoadOperand(segment, offset, bytes[..size]);
        return BinaryPrimitives.ReadUInt64LittleEndian(bytes);
    }

    private void StoreOperand(int segment, ulong offset, ReadOnlySpan<byte> bytes)
    {
        ulong linear = Linear(segment, offset, bytes.Length, write: true);
        RequireAligned(linear, bytes.Length, 0, Access.Write);
        Store(linear, bytes, _m.Cpl == 3, isExplicit: true);
    }

    private void StoreOperand(int segment, ulong offset, ulong value, int size)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        StoreOperand(segment, offset, bytes[..size]);
    }

    private ulong Offset(in Instruction i)
    {
        for (int n = 0; n < i.OpCount; n++)
        {
            if (i.GetOpKind(n) == OpKind.Memory && i.TryGetVirtualAddress(n, 0, out ulong offset, TryGetValue))
            {
                // A RIP-relative address is that of code at address 0.
                return i.IsIPRelativeMemoryOperand ? i.IPRelativeMemoryAddress + _m.Rip : offset;
            }
        }

        throw new UnjudgedCase("no memory operand");
    }

    private bool TryGetValue(Register register, int index, int size, out ulong value)
    {
        value = register.IsSegmentRegister() ? 0 : Value(register);
        return true;
    }

    private ulong Value(Register register)
    {
        ulong value = _m.General[Number(register)];
        return Truncate(value, register.GetSize());
    }

    // Prefixes of ES, CS, SS and DS say nothing in 64-bit mode.
    private int Segment(in Instruction i)
    {
        int segment = SegmentNumber(i.MemorySegment);
        return !_m.Is64 || segment >= MachineImage.Fs ? segment : i.MemoryBase is Register.RSP or Register.RBP or Register.ESP or Register.EBP ? MachineImage.Ss : MachineImage.Ds;
    }

    // A word in a register or in memory.
    private ushort LoadWord(in Instruction i, int operand) =>
        i.GetOpKind(operand) == OpKind.Memory ? (ushort)LoadOperand(Segment(i), Offset(i), 2) : (ushort)_m.General[Number(i.GetOpRegister(operand))];
}
