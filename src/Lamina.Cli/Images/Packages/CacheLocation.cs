namespace Lamina.Cli.Images.Packages;

/// <summary>Where this user's cache is (XDG base directory specification).</summary>
internal static class CacheLocation
{
    /// <summary>The directory; it need not exist.</summary>
    /// <exception cref="LaminaException">The environment names none.</exception>
    public static string Find(Func<string, string?> environment)
    {
        string? cache = environment("XDG_CACHE_HOME");
        if (!string.IsNullOrEmpty(cache) && Path.IsPathRooted(cache))
        {
            return Path.Combine(cache, "lamina");
        }

        string? home = environment("HOME");
        return !string.IsNullOrEmpty(home) && Path.IsPathRooted(home)
            ? Path.Combine(home, ".cache", "lamina")
            : throw new LaminaException("there is no place for the cache: neither HOME nor XDG_CACHE_HOME names a directory. Set XDG_CACHE_HOME.");
    }
}
