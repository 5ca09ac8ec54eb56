using Lamina.Cli.Arguments;
using Lamina.Cli.Images.Debian;

namespace Lamina.Cli.Images;

/// <summary>The images by name.</summary>
internal static class ImageCatalog
{
    private static readonly DebianImage[] Images = [DebianImage.Cloud, DebianImage.Generic];

    /// <summary>The names.</summary>
    public static IReadOnlyList<string> Names { get; } = Array.ConvertAll(Images, i => i.Name);

    /// <summary>Finds an image.</summary>
    /// <exception cref="LaminaException">There is none of that name.</exception>
    public static DebianImage Get(string name)
    {
        Check(name);
        return Array.Find(Images, i => i.Name == name)!;
    }

    /// <summary>Checks that there is an image of that name.</summary>
    /// <exception cref="LaminaException">There is none.</exception>
    public static void Check(string name)
    {
        if (!Names.Contains(name))
        {
            string hint = File.Exists(name) ? $" To boot a kernel file, write --kernel {name}." : Suggestion.For(name, Names);
            throw new LaminaException($"there is no image '{name}'. Images: {string.Join(", ", Names)}.{hint}");
        }
    }
}
