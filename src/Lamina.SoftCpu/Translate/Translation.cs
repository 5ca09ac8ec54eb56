using System.Diagnostics;
using System.Runtime.InteropServices;
using Lamina.SoftCpu.Blocks;

namespace Lamina.SoftCpu.Translate;

/// <summary>
/// Host code made from a block, or several, in native memory: for one linear address, or, from the second address at which a block is met, for all of them. A pointer to it stands in the eight bytes before <see cref="NativeEntry"/>.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct Translation
{
    /// <summary>In <see cref="Starts"/>: the flags are in the host's.</summary>
    public const int NativeFlags = 0x8000;

    /// <summary>RIP for which it was made; of a shared one, its offset in the page.</summary>
    public ulong Rip;

    /// <summary>
    /// It is good wherever its page is mapped: what depends on the address is formed from <see cref="ProcessorContext.CodePageRegister"/>, which whoever enters it has set. It is
    /// linked with shared ones only.
    /// </summary>
    public bool IsShared;

    /// <summary>The linear page for which a shared one was made, to be told to people; of others 0.</summary>
    public ulong FirstPage;

    /// <summary>Entry for those who come with the linear address in <see cref="Host.Address"/> and have not set the page: look-ups, and managed code. Flags saved.</summary>
    public byte* LookUpEntry;

    /// <summary>Entry that expects the guest's status flags in <see cref="ProcessorContext.SavedFlags"/>. Aligned to 8.</summary>
    public byte* Entry;

    /// <summary>Entry that expects them in the host's flags: for direct jumps. Aligned to 8. Where the code begins.</summary>
    public byte* NativeEntry;

    /// <summary>Its entry demands that vector registers are in the host's.</summary>
    public bool UsesVectors;

    /// <summary>Its entry demands that the x87 registers are in the host's.</summary>
    public bool UsesX87;

    /// <summary>Made quickly and small, to be replaced when it has run often.</summary>
    public bool IsCompact;

    /// <summary>Where its code ends.</summary>
    public byte* End;

    /// <summary>What it was made from, or the first of it.</summary>
    public Block* Block;

    /// <summary>How many parts it has.</summary>
    public int PartCount;

    /// <summary>Where it may leave for the interpreter.</summary>
    public TranslationSite* Sites;

    /// <summary>How many of them there are.</summary>
    public int SiteCount;

    /// <summary>
    /// The number of the page that its only instruction ends in, if that is another one: of how it is mapped (<see cref="CodeCache.MappingNumber"/>), in a shared one of where it is
    /// (<see cref="CodeCache.PlaceNumber"/>). It runs only while that follows its page.
    /// </summary>
    public uint SecondPage;

    /// <summary>
    /// Of a compact one: where each instruction begins, and behind the last, from the beginning; the highest bit says that the guest's status flags are in the host's
    /// there. Nothing else is assumed at these places.
    /// </summary>
    public ushort* Starts;

    /// <summary>The compact translation that this one replaced, in which it goes on where it has left in the middle; or null.</summary>
    public Translation* Plain;

    /// <summary>What it was made from has changed: whoever is inside goes on elsewhere after the next interpreted instruction.</summary>
    public bool IsDropped;

    /// <summary>Next translation of the same block.</summary>
    public Translation* Next;

    /// <summary>Guards through which other pages jump here.</summary>
    public TranslationGuard* Guards;

    /// <summary>All that it was made from. There is memory for no more than that (<see cref="SizeOf"/>).</summary>
    public TranslationParts Parts;

    /// <summary>Bytes of one that is made from so many parts.</summary>
    public static nuint SizeOf(int parts) => (nuint)(sizeof(Translation) - ((Trace.MaximumParts - parts) * sizeof(TranslationPart)));

    /// <summary>Its RIP in a processor that runs it.</summary>
    public readonly ulong RipIn(ProcessorContext* c) => Rip + PageIn(c);

    /// <summary>What is to be added to the addresses that it knows, in a processor that runs it.</summary>
    public readonly ulong PageIn(ProcessorContext* c) => IsShared ? c->Registers[ProcessorContext.CodePageRegister] : 0;

    /// <summary>The place of a compact one where an instruction begins.</summary>
    public readonly byte* StartOf(int index) => NativeEntry + (Starts[index] & ~NativeFlags);

    /// <summary>The site whose call returns at a place of the code. They stand in the order of their calls.</summary>
    public readonly TranslationSite* FindSite(int offset)
    {
        int low = 0;
        int high = SiteCount - 1;
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            if (Sites[middle].Return < offset)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        Debug.Assert(Sites[low].Return == offset, "every call that may leave has a site");
        return Sites + low;
    }

    /// <summary>The part that an instruction is in.</summary>
    public readonly TranslationPart PartOf(int index)
    {
        int part = PartCount - 1;
        while (part > 0 && Parts[part].First > index)
        {
            part--;
        }

        return Parts[part];
    }
}
