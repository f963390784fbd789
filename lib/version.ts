// The release, said by --version and doctor. A test compares it with package.json and CHANGELOG.md.
export const version = '0.1.0';
