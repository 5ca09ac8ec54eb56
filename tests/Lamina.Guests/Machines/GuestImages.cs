using Lamina.Cli;
using Lamina.Cli.Images;
using Lamina.Cli.Images.Debian;
using Lamina.Cli.Images.Packages;
using Lamina.Cli.Tools;

namespace Lamina.Guests.Machines;

/// <summary>Guests from Debian's packages, in the user's cache. A test whose guest cannot be had is skipped, and says why.</summary>
internal static class GuestImages
{
    private static readonly ToolRunner Tools = new();
    private static readonly PackageCache Cache = new(CacheLocation.Find(Environment.GetEnvironmentVariable), Tools, new QuietProgress());

    /// <summary>The files of an image.</summary>
    public static CachedPackageSet Get(DebianImage image) => GetOrSkip(() => image.Fetch(Cache, Tools, TestContext.Current.CancellationToken));

    /// <summary>The path of memtest86+.</summary>
    public static string GetMemoryTest()
    {
        PackageSet set = new(
            "memtest86+",
            "memtest86+",
            [new PackageRequest("memtest86+", null, [new PackageFile("boot/memtest86+x64", ".bin", "memtest.bin")])]);
        return GetOrSkip(() => Cache.Get(set, TestContext.Current.CancellationToken)).GetPath("memtest.bin");
    }

    private static CachedPackageSet GetOrSkip(Func<CachedPackageSet> get)
    {
        try
        {
            return get();
        }
        catch (LaminaException e)
        {
            Assert.Skip($"The guest cannot be had: {e.Message}");
            throw;
        }
    }

    private sealed class QuietProgress : IProgressDisplay
    {
        public void Begin(string step)
        {
        }

        public void Advance(double percent)
        {
        }

        public void Note(string message) => TestContext.Current.SendDiagnosticMessage(message);
    }
}
