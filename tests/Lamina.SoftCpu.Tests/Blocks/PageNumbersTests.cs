using Lamina.SoftCpu.Blocks;
using Lamina.SoftCpu.Translate;

namespace Lamina.SoftCpu.Tests.Blocks;

/// <summary>The numbers that guard jumps between pages, over address spaces that come and go.</summary>
public sealed unsafe class PageNumbersTests
{
    private const ulong LocalPage = 0x40_0000;
    private const ulong GlobalPage = 0xffff_ffff_8000_0000;
    private const uint LocalNumber = 7;
    private const uint GlobalNumber = 9;
    private readonly uint[] _mappings = GC.AllocateArray<uint>(ProcessorContext.MappingCount, pinned: true);
    private readonly ulong[] _places = GC.AllocateArray<ulong>(ProcessorContext.PlaceCount, pinned: true);
    private readonly PageNumbers _numbers;

    public PageNumbersTests()
    {
        fixed (uint* mappings = _mappings)
        fixed (ulong* places = _places)
        {
            _numbers = new PageNumbers(mappings, places);
        }
    }

    private uint Mapping(ulong page) => _mappings[ContextLayout.MappingSlot(page)];

    private ulong Place(uint number) => _places[ContextLayout.PlaceSlot(number)];

    // A kernel's pages are global, and it runs between any two spaces.
    [Fact]
    public void ThoseOfASpaceComeBackWithItThoughGlobalPagesHaveSome()
    {
        _numbers.SetMapping(LocalPage, 3, global: false);
        _numbers.SetPlace(LocalPage, LocalNumber, global: false);
        _numbers.SetMapping(GlobalPage, 4, global: true);
        _numbers.SetPlace(GlobalPage, GlobalNumber, global: true);
        _numbers.SwitchSpace(0, 1);
        Assert.Equal(0u, Mapping(LocalPage));
        Assert.Equal(0UL, Place(LocalNumber));
        Assert.Equal(4u, Mapping(GlobalPage));
        _numbers.SwitchSpace(1, 0);
        Assert.Equal(3u, Mapping(LocalPage));
        Assert.Equal(LocalPage, Place(LocalNumber) & ~0xfffUL);
    }

    // They may be dropped meanwhile.
    [Fact]
    public void ThoseOfGlobalPagesDoNotComeBack()
    {
        _numbers.SetPlace(GlobalPage, GlobalNumber, global: true);
        _numbers.SetMapping(LocalPage, 3, global: true);
        _numbers.SwitchSpace(0, 1);
        _numbers.SwitchSpace(1, 0);
        Assert.Equal(0UL, Place(GlobalNumber));
        Assert.Equal(0u, Mapping(LocalPage));

        // Nor as a place that was another page's, or the same page's before it was global.
        _numbers.SetPlace(LocalPage, LocalNumber, global: false);
        _numbers.SetPlace(LocalPage, LocalNumber, global: true);
        _numbers.SwitchSpace(0, 1);
        _numbers.SwitchSpace(1, 0);
        Assert.Equal(0UL, Place(LocalNumber));
    }

    // A place that was a global page's is another space's, and comes back as that.
    [Fact]
    public void APlaceThatWasAGlobalPagesIsALocalOneAfterwards()
    {
        _numbers.SetPlace(LocalPage, LocalNumber, global: false);
        _numbers.SwitchSpace(0, 1);
        _numbers.SetPlace(GlobalPage, LocalNumber, global: true);
        _numbers.SwitchSpace(1, 0);
        _numbers.SwitchSpace(0, 1);
        Assert.Equal(0UL, Place(LocalNumber));
        _numbers.SwitchSpace(1, 0);
        Assert.Equal(LocalPage, Place(LocalNumber) & ~0xfffUL);
    }
}
