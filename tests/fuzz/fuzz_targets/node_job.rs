#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(job) = kar::kit::node::Job::parse(data) {
        assert!(!job.recipe.starts_with('/') && !job.recipe.split('/').any(|part| part == ".."));
    }
});
