namespace Lamina.Cli.Images.Systems;

/// <summary>Where this user's data is (XDG base directory specification): what is not fetched again when it is lost.</summary>
internal static class DataLocation
{
    /// <summary>The directory; it need not exist.</summary>
    /// <exception cref="LaminaException">The environment names none.</exception>
    public static string Find(Func<string, string?> environment)
    {
        string? data = environment("XDG_DATA_HOME");
        if (!string.IsNullOrEmpty(data) && Path.IsPathRooted(data))
        {
            return Path.Combine(data, "lamina");
        }

        string? home = environment("HOME");
        return !string.IsNullOrEmpty(home) && Path.IsPathRooted(home)
            ? Path.Combine(home, ".local", "share", "lamina")
            : throw new LaminaException("there is no place for images: neither HOME nor XDG_DATA_HOME names a directory. Set XDG_DATA_HOME.");
    }
}
