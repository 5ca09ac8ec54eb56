using Lamina.Cli.Images.Debian;
using Lamina.Cli.Images.Packages;

namespace Lamina.Cli.Tests.Images;

public sealed class PackageCacheTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("lamina-cache-test").FullName;
    private readonly FakeTools _tools = new();
    private readonly RecordedProgress _progress = new();

    private string ImageDirectory => Path.Combine(_root, $"images.{PackageManifest.Version}", "debian");

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public void Fetches_once_and_then_uses_the_cache()
    {
        CachedPackageSet first = Fetch();
        Assert.Equal("kernel", File.ReadAllText(first.GetPath(DebianImage.Kernel)));
        Assert.Equal("cat\nls\n", File.ReadAllText(first.GetPath(DebianImage.Applets)));
        Assert.Equal("module", File.ReadAllText(first.GetPath("modules/pvpanic.ko")));
        Assert.Equal(50, _progress.Percent);
        Assert.Equal(
            [
                "apt-cache show linux-image-cloud-amd64",
                "apt-cache show linux-image-6.1.0-9-cloud-amd64",
                "apt-cache show busybox-static",
                "apt-get download linux-image-6.1.0-9-cloud-amd64=1:6.1.9-1 busybox-static=1:6.1.9-1",
                "busybox --list",
            ],
            _tools.Calls.Select(c => c == "busybox" ? "busybox --list" : c));
        int calls = _tools.Calls.Count;
        CachedPackageSet second = Fetch();
        Assert.Equal(first.Directory, second.Directory);
        Assert.Equal(first.Packages.Select(p => (p.Name, p.Version)), second.Packages.Select(p => (p.Name, p.Version)));
        Assert.Equal(calls, _tools.Calls.Count);
        AssertNothingLeftBehind();
    }

    [Fact]
    public void Missing_lists_are_fetched_into_a_place_of_our_own()
    {
        _tools.HasLists = false;
        Fetch();
        Assert.Contains("apt-get update (own lists)", _tools.Calls);
        Assert.Contains(_tools.Calls, c => c.StartsWith("apt-get download", StringComparison.Ordinal) && c.EndsWith("(own lists)", StringComparison.Ordinal));
    }

    [Fact]
    public void Missing_tools_are_named()
    {
        _tools.Missing.Add("dpkg-deb");
        _tools.Missing.Add("apt-get");
        LaminaException e = Assert.Throws<LaminaException>(Fetch);
        Assert.Contains("this host has no apt-get, dpkg-deb", e.Message, StringComparison.Ordinal);
        AssertNothingLeftBehind();
    }

    [Fact]
    public void A_failed_download_says_why_and_leaves_nothing_behind()
    {
        _tools.DownloadError = "Failed to fetch: no network";
        LaminaException e = Assert.Throws<LaminaException>(Fetch);
        Assert.Equal("apt-get could not fetch linux-image-6.1.0-9-cloud-amd64 and busybox-static: Failed to fetch: no network", e.Message);
        Assert.False(Directory.Exists(ImageDirectory));
        AssertNothingLeftBehind();
    }

    [Fact]
    public void A_package_without_the_kernel_is_refused()
    {
        _tools.KernelFiles.Remove("./boot/vmlinuz-6.1.0-9-cloud-amd64");
        Assert.Contains("has no file boot/vmlinuz-*", Assert.Throws<LaminaException>(Fetch).Message, StringComparison.Ordinal);
        AssertNothingLeftBehind();
    }

    [Fact]
    public void A_module_may_be_missing()
    {
        _tools.KernelFiles.Remove("./lib/modules/6.1.0-9-cloud-amd64/kernel/drivers/misc/pvpanic/pvpanic.ko");
        Assert.False(File.Exists(Fetch().GetPath("modules/pvpanic.ko")));
    }

    [Theory]
    [InlineData("vmlinuz", "kernel but longer", "'vmlinuz' has 17 bytes instead of 6")]
    [InlineData("vmlinuz", "Kernel", "'vmlinuz' is not what was stored")]
    [InlineData("vmlinuz", null, "'vmlinuz' is missing")]
    [InlineData("manifest", null, "it has no manifest")]
    [InlineData("manifest", "", "its manifest is damaged")]
    [InlineData("manifest", "lamina package set " + PackageManifest.Version + "\nfile x\n", "its manifest is damaged")]
    [InlineData("manifest", "lamina package set 1\n", "another version of Lamina made it")]
    [InlineData("manifest", "lamina package set " + PackageManifest.Version + "\n", "its manifest names no files")]
    public void A_damaged_cache_is_noticed_and_fetched_again(string file, string? content, string problem)
    {
        Fetch();
        string path = Path.Combine(ImageDirectory, file);
        File.Delete(path);
        if (content != null)
        {
            File.WriteAllText(path, content);
        }

        _progress.Shown.Clear();
        CachedPackageSet again = Fetch();
        Assert.Equal($"note: the cached image 'debian' cannot be used ({problem}); fetching it again", _progress.Shown[0]);
        Assert.Equal("kernel", File.ReadAllText(again.GetPath(DebianImage.Kernel)));
        AssertNothingLeftBehind();
    }

    [Fact]
    public void What_an_interrupted_run_left_is_removed()
    {
        string left = Path.Combine(_root, $"images.{PackageManifest.Version}", ".debian.1");
        Directory.CreateDirectory(left);
        File.WriteAllText(Path.Combine(left, "half"), "x");
        Fetch();
        Assert.False(Directory.Exists(left));
    }

    [Fact]
    public void Cancelling_leaves_nothing_behind()
    {
        using CancellationTokenSource cancellation = new();
        _tools.WhileDownloading = () =>
        {
            cancellation.Cancel();
            cancellation.Token.ThrowIfCancellationRequested();
        };
        Assert.ThrowsAny<OperationCanceledException>(() => Fetch(cancellation.Token));
        AssertNothingLeftBehind();
    }

    [Fact]
    public async Task Of_two_runs_at_the_same_time_one_fetches()
    {
        TaskCompletionSource waiting = new();
        RecordedProgress second = new();
        _tools.WhileDownloading = () => Assert.True(waiting.Task.Wait(TimeSpan.FromSeconds(30)));
        Task<CachedPackageSet> one = Task.Run(Fetch, TestContext.Current.CancellationToken);
        Task<CachedPackageSet> two = Task.Run(
            () =>
            {
                SpinWait.SpinUntil(() => _tools.Calls.Any(c => c.StartsWith("apt-get download", StringComparison.Ordinal)), TimeSpan.FromSeconds(30));
                return DebianImage.Cloud.Fetch(new PackageCache(_root, _tools, new Notifier(waiting)), _tools, CancellationToken.None);
            },
            TestContext.Current.CancellationToken);
        Assert.Equal((await one).Directory, (await two).Directory);
        Assert.Single(_tools.Calls, c => c.StartsWith("apt-get download", StringComparison.Ordinal));
    }

    [Fact]
    public void A_file_where_the_cache_should_be_is_one_clear_line()
    {
        File.WriteAllText(Path.Combine(_root, $"images.{PackageManifest.Version}"), "");
        LaminaException e = Assert.Throws<LaminaException>(Fetch);
        Assert.StartsWith($"the cache '{_root}' cannot be used: ", e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/c", "/h", "/c/lamina")]
    [InlineData(null, "/h", "/h/.cache/lamina")]
    [InlineData("", "/h", "/h/.cache/lamina")]
    [InlineData("relative", "/h", "/h/.cache/lamina")]
    public void The_cache_is_where_the_user_keeps_caches(string? cache, string? home, string expected)
    {
        Assert.Equal(expected, CacheLocation.Find(name => name == "HOME" ? home : cache));
    }

    [Fact]
    public void Without_a_home_the_cache_must_be_named()
    {
        Assert.Contains("Set XDG_CACHE_HOME", Assert.Throws<LaminaException>(() => CacheLocation.Find(_ => null)).Message, StringComparison.Ordinal);
    }

    private CachedPackageSet Fetch() => Fetch(CancellationToken.None);

    private CachedPackageSet Fetch(CancellationToken cancellation) => DebianImage.Cloud.Fetch(new PackageCache(_root, _tools, _progress), _tools, cancellation);

    private void AssertNothingLeftBehind()
    {
        string images = Path.Combine(_root, $"images.{PackageManifest.Version}");
        Assert.Empty(Directory.Exists(images) ? Directory.GetDirectories(images, ".*") : []);
    }
}
