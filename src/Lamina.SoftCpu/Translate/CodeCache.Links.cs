using Lamina.SoftCpu.Blocks;

namespace Lamina.SoftCpu.Translate;

/// <summary>How translations are connected: direct jumps begin as calls of a link exit, and become jumps by one store.</summary>
internal sealed unsafe partial class CodeCache
{
    /// <summary>Shift of the <see cref="LinkKind"/> in the data of a link exit, above the distance.</summary>
    public const int LinkKindShift = 14;

    private const int LinkDistanceMask = (1 << LinkKindShift) - 1;
    private const int MaximumMappings = 1 << 18;
    private const int CallLength = 5;
    private const int GuardSpace = 64;
    private const byte JumpOpcode = 0xe9;
    private const byte CallOpcode = 0xe8;

    private const uint LastPlace = (ProcessorContext.PlaceCount * 0x1000U) - 1;

    private readonly Dictionary<(ulong Page, ulong Physical), uint> _mappings = [];
    private readonly Dictionary<ulong, uint> _places = [];
    private uint _lastMapping;
    private uint _lastPlace = ProcessorContext.PlaceCount - 1;

    /// <summary>The target of a direct jump of a processor that has left by a link exit.</summary>
    public static ulong TargetOf(ProcessorContext* c, Translation* from, byte* data) => from->RipIn(c) + (ulong)(long)(KindOf(data) == LinkKind.Guarded ? *(int*)(data + 2) : *(short*)(data + 2));

    /// <summary>How a direct jump that has left by a link exit wants to be connected.</summary>
    public static LinkKind KindOf(byte* data) => (LinkKind)(*(ushort*)data >> LinkKindShift);

    /// <summary>Makes a direct jump go to a translation, if both ends are still valid.</summary>
    /// <param name="from">Where it is.</param>
    /// <param name="data">What it left with.</param>
    /// <param name="to">Its target's block.</param>
    /// <param name="target">Its target.</param>
    /// <param name="rip">Where that is.</param>
    /// <param name="number">For a jump to another page, how that is mapped (<see cref="MappingNumber"/>), or from shared code where it is (<see cref="PlaceNumber"/>).</param>
    public void Link(Translation* from, byte* data, Block* to, Translation* target, ulong rip, uint number)
    {
        lock (_lock)
        {
            if (!from->Block->Valid || from->Block->Translations == null || !to->Valid || Find(to, target->Rip, target->IsShared) != target)
            {
                return;
            }

            LinkKind kind = KindOf(data);
            byte* entry;
            if (kind == LinkKind.Guarded)
            {
                entry = number == 0 ? null : FindGuard(target, from->IsShared ? GuardKind.Place : GuardKind.Mapping, number, rip);
            }
            else if (target->IsShared && !from->IsShared)
            {
                entry = FindGuard(target, kind == LinkKind.Native ? GuardKind.NativeBridge : GuardKind.Bridge, rip & ~0xfffUL, rip);
            }
            else
            {
                entry = kind == LinkKind.Native ? target->NativeEntry : target->Entry;
            }

            if (entry != null)
            {
                Patch(data - CallLength, JumpOpcode, entry);
            }
        }
    }

    /// <summary>The number of a mapping of a page of code: equal numbers mean equal pages and privileges. 0 if there are no more.</summary>
    public uint MappingNumber(ulong page, bool user, ulong physical)
    {
        lock (_lock)
        {
            (ulong, ulong) key = (page | (user ? 1UL : 0), physical);
            if (!_mappings.TryGetValue(key, out uint number))
            {
                if (_lastMapping == uint.MaxValue - 1)
                {
                    return 0;
                }

                if (_mappings.Count == MaximumMappings)
                {
                    _mappings.Clear();
                }

                number = ++_lastMapping;
                _mappings.Add(key, number);
            }

            return number;
        }
    }

    /// <summary>The number of a physical page of code and a privilege, by which it is found in <see cref="ProcessorContext.Places"/>. 0 if there are no more.</summary>
    public uint PlaceNumber(bool user, ulong physical)
    {
        lock (_lock)
        {
            ulong key = physical | (user ? 1UL : 0);
            if (!_places.TryGetValue(key, out uint number) && _lastPlace < LastPlace)
            {
                number = ++_lastPlace;
                _places.Add(key, number);
            }

            return number;
        }
    }

    // What stands between a jump and a translation, made when it is first wanted.
    private byte* FindGuard(Translation* t, GuardKind kind, ulong key, ulong rip)
    {
        for (TranslationGuard* guard = t->Guards; guard != null; guard = guard->Next)
        {
            if (guard->Kind == kind && guard->Key == key)
            {
                return guard->Entry;
            }
        }

        if (_used + MaximumBlock > _size || _recordsUsed + (nuint)sizeof(TranslationGuard) > _size)
        {
            return null;
        }

        TranslationGuard* made = (TranslationGuard*)Record((nuint)sizeof(TranslationGuard));
        _recordsUsed += (nuint)sizeof(TranslationGuard);
        made->Kind = kind;
        made->Key = key;
        made->Entry = _base + _used;
        made->Next = t->Guards;
        HostAssembler asm = new(made->Entry, GuardSpace, _writeDistance);
        switch (kind)
        {
            case GuardKind.Mapping:
                EmitMappingGuard(ref asm, t, (uint)key, rip);
                break;
            case GuardKind.Place:
                EmitPlaceGuard(ref asm, t, (uint)key);
                break;
            default:
                EmitPage(ref asm, rip);
                asm.Jump(kind == GuardKind.NativeBridge ? t->NativeEntry : t->Entry);
                break;
        }

        _used = (_used + (nuint)asm.Length + 15) & ~(nuint)15;
        HostBytes += asm.Length;
        t->Guards = made;
        return made->Entry;
    }

    /// <summary>Compares how the page of an address is mapped. Flags are lost.</summary>
    public static void EmitMappingCheck(ref HostAssembler asm, ulong address, uint mapping)
    {
        asm.ContextForm(0x81, 7, ContextLayout.Mappings + (4 * ContextLayout.MappingSlot(address)), false); // CMP DWORD
        asm.Dword((int)mapping);
    }

    /// <summary>Compares where the page is whose linear address is in the address register. Flags and the temporary register are lost.</summary>
    public static void EmitPlaceCheck(ref HostAssembler asm, uint place)
    {
        asm.Lea(Host.Temporary, Host.Address, -1, 0, ContextLayout.PlaceCheck(place));
        asm.ContextForm(0x3b, Host.Temporary, ContextLayout.Place(place), true); // CMP
    }

    private void EmitMappingGuard(ref HostAssembler asm, Translation* t, uint mapping, ulong rip)
    {
        EmitMappingCheck(ref asm, rip, mapping);
        int other = asm.JumpIfShort(5);
        if (t->IsShared)
        {
            EmitPage(ref asm, rip);
        }

        asm.Jump(t->Entry);
        asm.BindShort(other);
        asm.MoveImmediate(Host.Address, (long)rip);
        asm.Jump(Routines.LookUpGuarded);
    }

    private void EmitPlaceGuard(ref HostAssembler asm, Translation* t, uint place)
    {
        EmitPlaceCheck(ref asm, place);
        int other = asm.JumpIfShort(5);
        asm.StoreContext(Host.Address, ContextLayout.Register(ProcessorContext.CodePageRegister));
        asm.Jump(t->Entry);
        asm.BindShort(other);
        asm.Lea(Host.Address, Host.Address, -1, 0, (int)t->Rip);
        asm.Jump(Routines.LookUpGuarded);
    }

    // Flags stay.
    private static void EmitPage(ref HostAssembler asm, ulong rip)
    {
        asm.MoveImmediate(Host.Address, (long)(rip & ~0xfffUL));
        asm.StoreContext(Host.Address, ContextLayout.Register(ProcessorContext.CodePageRegister));
    }

    // Whoever enters the one goes on to the other.
    private void Replace(Translation* old, Translation* better)
    {
        Patch(old->Entry, JumpOpcode, better->Entry);
        if (old->NativeEntry != old->Entry)
        {
            Patch(old->NativeEntry, JumpOpcode, better->NativeEntry);
        }
    }

    // Jumps that lead to dropped translations of a block go on to the new one.
    private void Revive(Block* block, Translation* t)
    {
        Translation** link = &block->Dropped;
        while (*link != null)
        {
            Translation* dropped = *link;
            if (dropped->Rip == t->Rip && dropped->IsShared == t->IsShared)
            {
                Replace(dropped, t);
                *link = dropped->Next;
            }
            else
            {
                link = &dropped->Next;
            }
        }
    }

    // Five bytes by one aligned store, so that a processor sees the old or the new instruction.
    private void Patch(byte* place, byte opcode, byte* target)
    {
        ulong instruction = opcode | ((ulong)(uint)(int)(target - (place + CallLength)) << 8);
        int shift = 8 * (int)((nint)place & 7);
        ulong* word = (ulong*)(((nint)place & ~7) + _writeDistance);
        Volatile.Write(ref *word, (*word & ~(0xff_ffff_ffffUL << shift)) | (instruction << shift));
    }
}
