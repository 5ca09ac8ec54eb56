using Lamina.Cli.Images.Packages;
using Lamina.Cli.Images.Systems;
using Lamina.Guests.Processes;

namespace Lamina.Guests.Machines;

/// <summary>Images with a whole system for tests, built by <c>lamina image build</c> into the user's cache when they are not there, or have other packages. <c>LAMINA_SYSTEM_DATA</c> names another place; <c>LAMINA_SYSTEM_TESTS=0</c> leaves such tests out.</summary>
internal static class SystemImages
{
    private const string Switch = "LAMINA_SYSTEM_TESTS";

    /// <summary>Prepares one, or skips the test.</summary>
    /// <param name="image">Its name.</param>
    /// <param name="store">A directory beside those of tests that want other packages.</param>
    /// <param name="packages">Packages beyond those that every image has, with commas between them.</param>
    /// <param name="tools">Programs of the host that the test needs.</param>
    /// <returns>The environment in which <c>lamina</c> finds it.</returns>
    public static Dictionary<string, string> Prepare(string image, string store, string packages, params string[] tools)
    {
        Assert.SkipWhen(Environment.GetEnvironmentVariable(Switch) == "0", $"{Switch}=0 leaves it out.");
        foreach (string tool in (string[])["mmdebstrap", .. tools])
        {
            Assert.SkipUnless(Exists(tool), $"'{tool}' is not installed.");
        }

        string data = Environment.GetEnvironmentVariable("LAMINA_SYSTEM_DATA") is { } named ? Path.Combine(named, packages.Length == 0 ? "" : store) : Path.Combine(CacheLocation.Find(Environment.GetEnvironmentVariable), store);
        Dictionary<string, string> environment = new() { ["XDG_DATA_HOME"] = data };
        if (new SystemImageStore(Path.Combine(data, "lamina")).Find(SystemImageName.Parse(image)) is not { } found || (packages.Length > 0 && found.Extra != packages))
        {
            LaminaResult built = LaminaProcess.Run(null, environment, ["image", "build", image, .. packages.Length == 0 ? (string[])[] : ["--include", packages]]);
            Assert.SkipWhen(built.Error.Contains("mmdebstrap could not install", StringComparison.Ordinal), $"The guest cannot be had: {built.Error}");
            Assert.True(built.Status == 0, built.Error);
        }

        return environment;
    }

    private static bool Exists(string tool) => $"{Environment.GetEnvironmentVariable("PATH")}:/usr/sbin:/sbin".Split(':').Any(d => File.Exists(Path.Combine(d, tool)));
}
